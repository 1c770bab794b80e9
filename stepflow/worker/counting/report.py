"""Sends what a worker has counted."""

from __future__ import annotations

from stepflow.engine.env import Env
from stepflow.errors import StepflowError
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.counting.counts import add_counts
from stepflow.worker.counting.counters import Counters


class CountReporter:
    """
    Sends the counts of one worker with each of its rounds, and nothing when there are none.

    What could not be sent goes with a later round; what a killed worker had not sent is lost.
    """

    def __init__(
        self, counters: Counters, env: Env, connection: AsyncCaller, *, worker: str
    ) -> None:
        self._counters = counters
        self._env = env
        self._connection = connection
        self._worker = worker
        self._number = 0

    async def send(self) -> None:
        """Send what was counted since the last call."""
        counts = self._counters.drain()
        if not counts:
            return
        self._number += 1
        call = add_counts(
            self._env.keys, counts, sender=self._worker, number=self._number,
            now=self._env.clock.now(),
        )  # fmt: skip
        try:
            await self._connection.call(call)
        except StepflowError:
            self._counters.restore(counts)
            raise
