"""
Time marks: where the workflow's own time has caught up.

Timers count from the last remembered entry. Where an activation begins late, as that of a delayed
run or of a fork does, such a timer would be due before it was set. Then the first question for the
time leaves a mark, from which timers count, in this activation and on replay.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from stepflow.core.journal import Entry, EntryKind
from stepflow.core.run import Run
from stepflow.kits.flow.replay.loop import WorkflowLoop

#: seconds that the workflow's own time may lag behind without a mark
LATE_S = 1.0

#: entries written while a replay ends, as marks are; none of them has code run
_BESIDE = (EntryKind.PATCH, EntryKind.TIME)


class TimeMarks:
    """
    The marks of one activation.

    *now* asks for the time in unix seconds, *write* takes a mark that is to be remembered.
    """

    def __init__(
        self, loop: WorkflowLoop, now: Callable[[], float], write: Callable[[Entry], None]
    ) -> None:
        self._loop = loop
        self._now = now
        self._write = write
        self._at: dict[int, float] = {}
        self._last = 0
        self._may_mark = False

    def begin(
        self, run: Run, entries: Sequence[Entry], of_time: Sequence[int], *, is_repeating: bool
    ) -> Container[int]:
        """
        Learn what is remembered, and whether code was run past the end of that before.

        *of_time* has the indexes of timers and marks. Returns for which numbers of entries, the one
        that is about to be handed over among them, `reach` has to be called.

        Where it was, timers were set there already and go on. So they do after a crash, which is to
        prolong no timeout; but they count from the beginning of the run, should it have waited.
        """
        for index in of_time:
            if entries[index].kind is EntryKind.TIME:
                before = index
                while before and entries[before - 1].kind in _BESIDE:
                    before -= 1
                self._at[before] = entries[index].at
        self._last = len(entries)
        is_retried = run.ends > 0 and run.handoff > 0
        self._may_mark = not is_repeating or is_retried
        if run.crashes:
            self._may_mark = run.step == 0 and not run.ends
            self._now = lambda: run.started_at
        return {self._last, *self._at}

    def reach(self, count: int) -> None:
        """Take in the mark that stands behind so many entries, the last of which is handed over."""
        self._loop.floor = self._at.get(count, self._loop.floor)
        if count == self._last and self._may_mark:
            self._loop.before_time = self._catch_up

    def end(self) -> None:
        """Leave no more marks: the activation is live, and its own time keeps up by itself."""
        self._loop.before_time = None

    def _catch_up(self) -> None:
        self.end()
        now = self._now()
        if now - max(self._loop.now, self._loop.floor) > LATE_S:
            self._loop.floor = now
            self._write(Entry(EntryKind.TIME, "time", "time", now))
