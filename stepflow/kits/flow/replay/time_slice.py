"""A workflow's time slice: how long an activation keeps its slot while other runs wait for one."""

from __future__ import annotations

import asyncio

from stepflow.kits.flow.runtime import FlowRuntime

#: the time slices of a step that a workflow gets: to go on, it has to be replayed
SLICES = 10
#: a slice lasts so many times as long as the replay before it took, for each run that shares the
#: worker
REPLAYS = 10


class TimeSlice:
    """
    Over once its time has passed and other runs wait.

    Then the run goes to the end of its queue, between two steps. So 100,000 steps in a row keep
    nobody waiting for longer, and replays take a tenth of the worker at most.
    """

    def __init__(self, runtime: FlowRuntime) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        #: the loop time at which it has passed
        self.until = self._began

    def begin_replay(self) -> None:
        """Note that the replay begins."""
        self._began = self._loop.time()

    def leave_out(self, seconds: float) -> None:
        """Leave out *seconds* of the replay, in which others had the loop."""
        self._began += seconds

    def begin(self) -> None:
        """Note that the replay is over: from here on the workflow gets on."""
        now = self._loop.time()
        replay_s = now - self._began
        self.until = now + max(
            SLICES * self._runtime.slice_s, REPLAYS * replay_s * self._runtime.runs_in_hand
        )

    def end(self) -> None:
        """Have it be over after the present step: the run is to be left."""
        self.until = self._began

    async def is_over(self) -> bool:
        """
        Whether its time has passed and other runs wait.

        When none does, the question comes up again a slice later. A run that was asked to stop
        stays: it has little left to do.
        """
        if self._loop.time() < self.until or self._runtime.cancel.is_set:
            return False
        if await self._runtime.is_slot_wanted():
            return True
        self.until = self._loop.time() + self._runtime.slice_s
        return False
