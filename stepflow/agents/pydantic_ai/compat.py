"""
What later versions of pydantic-ai have and the oldest that is supported (2.63) has not.

2.61 and 2.62 have the interface as well, but print errors for runs that are put aside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic_ai import durable_exec

if TYPE_CHECKING:
    from pydantic_ai.durable_exec import record_durable_unit, replay_scope
else:

    @contextmanager
    def _no_scope(*_args: Any, **_options: Any) -> Iterator[None]:
        yield

    def _no_record(*, executed: bool) -> None:
        """Report nothing: spans of replayed units appear again before 2.68."""

    # 2.68
    replay_scope = getattr(durable_exec, "replay_scope", _no_scope)
    record_durable_unit = getattr(durable_exec, "record_durable_unit", _no_record)

#: 2.68; None before
external_event_scope: Any = getattr(durable_exec, "external_event_scope", None)

__all__ = ["external_event_scope", "record_durable_unit", "replay_scope"]
