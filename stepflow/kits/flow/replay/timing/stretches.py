"""A replay in stretches: the worker's loop turns in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter

from stepflow.core.journal import Entry, read_journal
from stepflow.kits.flow.replay.time_slice import TimeSlice

#: seconds after which a replay lets the loop turn; the code between two answers runs in one piece
STRETCH_S = 0.005
#: entries that are read in one piece: 2 us each
_READ_AT_ONCE = 1000


class Stretches:
    """
    Says when a replay is to let the worker's loop turn, and lets it.

    What others do meanwhile is no part of how long the replay took, as *time_slice* reckons it.
    """

    def __init__(self, time_slice: TimeSlice) -> None:
        self._time_slice = time_slice
        #: when (by `perf_counter`, which each entry asks) the loop should turn
        self.until = perf_counter() + STRETCH_S

    async def let_turn(self) -> None:
        """Let the loop turn."""
        began = perf_counter()
        await asyncio.sleep(0)
        now = perf_counter()
        self._time_slice.leave_out(now - began)
        self.until = now + STRETCH_S

    async def read(self, journal: Sequence[bytes], run_id: str) -> list[Entry]:
        """Read all entries of a journal; raises UnreadableRecord."""
        entries: list[Entry] = []
        for first in range(0, len(journal), _READ_AT_ONCE):
            entries += read_journal(journal[first : first + _READ_AT_ONCE], run_id, first)
            if perf_counter() > self.until:
                await self.let_turn()
        return entries
