"""What a worker does for the store of large values: now and then it deletes what no run needs."""

from __future__ import annotations

import asyncio
import logging
import time

from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.offload.from_thread import carry_out_from_thread
from stepflow.store.offload.offload import Offload
from stepflow.store.offload.sweep import Swept, claim_sweep, sweep
from stepflow.store.offload.use import present
from stepflow.worker.state import WorkerState
from stepflow.worker.threads import Threads

log = logging.getLogger("stepflow.worker")

#: seconds between two sweeps, by whichever worker
EVERY_S = 3600.0
#: seconds between two looks whether it is time
LOOK_S = 60.0


class Sweeper:
    """Sweeps the store in a thread, whose questions go over the worker's connection."""

    def __init__(
        self, env: Env, connection: AsyncCaller, offload: Offload, worker: str, threads: Threads
    ) -> None:
        self._env = env
        self._connection = connection
        self._offload = offload
        self._worker = worker
        self._threads = threads

    async def run(self) -> None:
        """Look whether it is time until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            with one_by_one("the store for large values could not be swept"):
                if await self._connection.call(claim_sweep(self._env.keys, self._worker, EVERY_S)):
                    await self.go()

    async def go(self) -> Swept:
        """Sweep once."""
        before = time.time() - self._env.settings.offload.keep_s
        plan = sweep(self._offload.store, self._env.keys, before=before)
        loop = asyncio.get_running_loop()
        swept: Swept = await self._threads.run(carry_out_from_thread, self._connection, loop, plan)
        if swept.values:
            log.info("%s large values of %s runs that are gone were deleted", *swept)
        return swept


def sweeper_of(state: WorkerState) -> Sweeper:
    """Make the sweeper of a worker that has a store."""
    offload = present()
    assert offload is not None
    return Sweeper(state.env, state.connection, offload, state.name, state.threads)
