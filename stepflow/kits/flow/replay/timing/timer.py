"""What the workflow's loop gives out for a timer, and what keeps it."""

from __future__ import annotations

import asyncio
from typing import Protocol


class WorkflowTimer(asyncio.TimerHandle):
    """A callback that is called at its time; *place* is where the journal says that it was."""

    __slots__ = ("place",)

    place: str


class TimerBook(Protocol):
    """What has the timers of a loop called at their times."""

    def start(self, timer: WorkflowTimer) -> None:
        """Begin to wait for *timer*."""

    def drop(self, timer: WorkflowTimer) -> None:
        """Wait no more for *timer*, which was cancelled."""
