"""What callers may see of values: payloads, results, headers, errors, journals, output."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from stepflow.engine import history

#: is given what kind of value it is ("payload", "header", "step" ...), the keys that lead to a part
#: of it, and that part as JSON carries it; gives what is shown in its place
Redact = Callable[[str, tuple[str | int, ...], Any], Any]

#: what stands in place of what is hidden
HIDDEN = history.REDACTED

_FRAGMENTS = ("pass", "secret", "token", "authorization", "apikey", "api_key", "api-key", "cookie")
_SECRET = re.compile(r"(?i)pass|secret|token|authorization|api.?key|cookie")
#: the fields of a run's document that hold values, and the kinds of these
_OF_RUN = {
    "payload": "payload", "result": "result", "headers": "header", "tags": "tag",
    "error": "error",    "compensation_errors": "error",
}  # fmt: skip


def hide_secrets(kind: str, path: tuple[str | int, ...], value: Any) -> Any:
    """Hide what stands under a key that speaks of a password, a token and the like."""
    del kind
    last = path[-1] if path else None
    return HIDDEN if isinstance(last, str) and _SECRET.search(last) else value


def hide_nothing(kind: str, path: tuple[str | int, ...], value: Any) -> Any:
    """Show everything."""
    del kind, path
    return value


def redacted(redact: Redact, kind: str, value: Any, path: tuple[str | int, ...] = ()) -> Any:
    """Give *value*, which JSON can carry, as *redact* lets it be seen, part by part."""
    shown = redact(kind, path, value)
    if shown is not value:
        return shown
    if isinstance(value, dict):
        return {name: redacted(redact, kind, part, (*path, name)) for name, part in value.items()}
    if isinstance(value, list):
        return [redacted(redact, kind, part, (*path, number)) for number, part in enumerate(value)]
    return value


def redacted_run(redact: Redact, run: dict[str, Any]) -> dict[str, Any]:
    """Give the document of a run with its values redacted."""
    return {
        name: redacted(redact, _OF_RUN[name], value) if name in _OF_RUN else value
        for name, value in run.items()
    }


def redacted_step(redact: Redact, step: dict[str, Any]) -> dict[str, Any]:
    """Give the document of a step with its value redacted, also by the name of the step."""
    value = (
        None if step["value"] is None else redacted(redact, "step", step["value"], path_of(step))
    )
    return {**step, "value": value, "error": redacted(redact, "error", step["error"])}


def path_of(step: dict[str, Any]) -> tuple[str | int, ...]:
    """Give the path at which the value of a step stands: its name, or that of the variable."""
    return (str(step["name"]),) if step["name"] else ()


def redacted_history(redact: Redact, document: dict[str, Any]) -> dict[str, Any]:
    """
    Give the document of a history with its values redacted.

    What is blanked keeps its type, as `stepflow export --redact` does it, so that it still replays.
    """
    if redact is hide_nothing:
        return document
    whole = history.redact(document, _Secret(redact))
    headers = redacted(redact, "header", whole["headers"])
    return {**whole, "headers": headers}


class _Secret(Collection[str]):
    """The keys under which *redact* hides whatever stands there."""

    def __init__(self, redact: Redact) -> None:
        self._redact = redact

    def __contains__(self, name: object) -> bool:
        probe = "a value"
        return isinstance(name, str) and self._redact("journal", (name,), probe) is not probe

    def __iter__(self) -> Iterator[str]:
        """Give what unreadable data are searched for."""
        for fragment in _FRAGMENTS:
            yield from (fragment, fragment.title(), fragment.upper())

    def __len__(self) -> int:
        return 3 * len(_FRAGMENTS)
