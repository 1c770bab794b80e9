"""What undoes a tool call: it is called with what the tool returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from stepflow.engine.user_code.calls import is_async

#: what the value of a call says when the tool returned, rather than raised for the model
_RETURNED = ("tool_return", "tool_content_result")


def undoing(undo: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """Return what undoes a call by its remembered value; None for what is not undone."""
    if undo is None:
        return None

    async def undo_on_the_loop(value: Any) -> Any:
        return await undo(_returned(value)) if _has_returned(value) else None

    def undo_in_a_thread(value: Any) -> Any:
        return undo(_returned(value)) if _has_returned(value) else None

    return undo_on_the_loop if is_async(undo) else undo_in_a_thread


def _has_returned(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("kind") in _RETURNED


def _returned(value: Mapping[str, Any]) -> Any:
    found = value["result"]
    is_plain = value["kind"] != _RETURNED[0] or not isinstance(found, Mapping)
    if not is_plain and found.get("kind") == "tool-return":
        return found.get("return_value")
    return found
