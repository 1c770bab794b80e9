"""A workflow's turn: how long an activation keeps its worker's slot while others wait for one."""

from __future__ import annotations

import asyncio

from stepflow.kits.flow.runtime import FlowRuntime

#: time slices of a runner's step that a turn lasts: to go on, a workflow has to be replayed
SLICES = 10
#: a turn lasts so many times as long as the replay before it took, for each run that shares the
#: worker
REPLAYS = 10


class TimeSlice:
    """
    Over once its time has passed and others wait.

    Then the run goes to the end of its queue, between two steps.

    So 100,000 steps in a row hold up nobody for longer, and replays take a tenth of the worker at
    most.
    """

    def __init__(self, runtime: FlowRuntime) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._began = self._until = self._loop.time()

    def begin_replay(self) -> None:
        """Note that the replay begins."""
        self._began = self._loop.time()

    def begin(self) -> None:
        """Note that the replay is over: from here on the workflow gets on."""
        now = self._loop.time()
        replay_s = now - self._began
        self._until = now + max(
            SLICES * self._runtime.slice_s, REPLAYS * replay_s * self._runtime.runs_in_hand
        )

    @property
    def is_up(self) -> bool:
        """Whether its time has passed."""
        return self._loop.time() >= self._until

    async def is_over(self) -> bool:
        """
        Whether its time has passed and others wait.

        When nobody does, it is looked at again a slice later.

        A run that was asked to stop stays: it has little left to do.
        """
        if not self.is_up or self._runtime.cancel.is_set:
            return False
        if await self._runtime.is_slot_wanted():
            return True
        self._until = self._loop.time() + self._runtime.slice_s
        return False
