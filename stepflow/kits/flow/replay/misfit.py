"""What a run pauses with whose journal the code at hand does not fit: the reason, and a diff."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from stepflow.core.journal import Entry
from stepflow.core.outcomes import Pause
from stepflow.engine.gate import pause_for
from stepflow.errors import UndecryptableValue, UnreadableValue

#: entries shown before the one that does not fit
_SHOWN = 3


def misfit(problem: str, journal: Sequence[bytes], index: int | None = None) -> Pause:
    """Make the outcome of code that does not fit; *index* is that of the entry it does not fit."""
    lines = [] if index is None else _around(journal, index)
    return Pause(f"code changed: {problem}", diff="\n".join(lines))


def misread_end(
    main: asyncio.Task[Any], journal: Sequence[bytes], index: int | None = None
) -> Pause | None:
    """
    Pause where the function *main* ended by a remembered value that it cannot read any more.

    *index* is that of the entry it did not reach, by default of the last one.
    """
    error = main.exception() if main.done() and not main.cancelled() else None
    if isinstance(error, UndecryptableValue):
        return pause_for(error)
    is_old = isinstance(error, UnreadableValue) and bool(journal)
    last = len(journal) - 1 if index is None else index
    return misfit(str(error), journal, last) if is_old else None


def _around(journal: Sequence[bytes], index: int) -> list[str]:
    """Show the entry at *index*, and those before it."""
    return [
        f"{'>' if number == index else ' '} {_line(number, Entry.read(journal[number]))}"
        for number in range(max(0, index - _SHOWN), index + 1)
    ]


def _line(index: int, entry: Entry) -> str:
    return f"{index:>4}  {entry.kind:<7} {entry.name}  (place {entry.place})"
