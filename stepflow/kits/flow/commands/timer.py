"""
Timers of the workflow's own code: `asyncio.sleep`, `asyncio.timeout`, and all that is made of them.

A timer writes nothing unless it fires: when it is due follows from the journal.
"""

from __future__ import annotations

import asyncio
from typing import Any

from stepflow.core.journal import Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost

#: how far the time at which a timer was remembered to be due may be from that at which it is, in
#: seconds: the journal has times to the microsecond
_SAME_S = 0.001


class TimerCommand(Command):
    """One timer; *handle* is what the loop gave out for it."""

    __slots__ = ("handle",)
    what = "timer"
    entry_kinds = (EntryKind.TIMER,)
    has_to_be_awaited = False

    def __init__(
        self, place: str, future: asyncio.Future[Any], handle: asyncio.TimerHandle
    ) -> None:
        super().__init__(place, "timer", future)
        self.handle = handle
        self.due_at = handle.when()

    @property
    def is_wanted(self) -> bool:
        return not self.handle.cancelled()

    def describe(self) -> str:
        return "a timer of its code"

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is not None and self.due_at <= now:
            host.write(self, EntryKind.TIMER, f"{self.due_at:.6f}".encode())

    def misfit(self, entry: Entry) -> str:
        """Say in words how a remembered timer is not this one; empty when it is."""
        was_due_at = float(entry.data)
        if abs(was_due_at - self.handle.when()) < _SAME_S:
            return ""
        by_s = self.handle.when() - was_due_at
        return f"the timer at place {entry.place} is due {by_s:+.3f} s from when it was due"
