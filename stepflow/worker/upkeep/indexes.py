"""
Keeps the indexes of runs in order.

Expired runs are forgotten, and what the version before listed is listed as this version does.
"""

from __future__ import annotations

from collections.abc import Collection

from stepflow.core.ids import split_build, split_runner
from stepflow.engine.env import Env
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.indexes.old import move_old, old_ended_indexes, old_expiry, old_runner_index
from stepflow.store.maintenance import MaintenanceScan, sweep_expired

#: expired runs forgotten in one script, which takes a millisecond or two, and such scripts between
#: two scans
SWEPT, SWEEPS = 500, 10
#: runs moved in one script, which takes two or three milliseconds, and such scripts of one index
#: between two scans
MOVED, MOVES = 200, 10


class IndexUpkeep:
    """
    The part of maintenance that looks after indexes.

    *runners* are the keys of those whose indexes are moved, with the builds that this worker has.
    """

    def __init__(self, env: Env, connection: AsyncCaller, runners: Collection[str]) -> None:
        self._env = env
        self._connection = connection
        names = {split_runner(split_build(key)[0])[0] for key in runners}
        self.old_runners = [old_runner_index(env.keys, name) for name in sorted(names)]

    async def go(self, look: MaintenanceScan) -> bool:
        """Do what a scan has shown to be needed; True when there is more of it to do at once."""
        if look.has_old:
            await self._move_old()
        return look.expired and await self._sweep(self._env.keys.expiry)

    async def _sweep(self, expiry: str) -> bool:
        """Forget expired runs, a few scripts at a time; True when there are more."""
        env = self._env
        for _ in range(SWEEPS):
            call = sweep_expired(env.keys, given=env.clock.given, limit=SWEPT, expiry=expiry)
            if await self._connection.call(call) < SWEPT:
                return False
        return True

    async def _move_old(self) -> None:
        """Move a part of what the version before has listed, the newest runs first."""
        env = self._env
        for index in (*old_ended_indexes(env.keys), *self.old_runners):
            for _ in range(MOVES):
                call = move_old(env.keys, index, given=env.clock.given, limit=MOVED)
                if await self._connection.call(call) < MOVED:
                    break
        await self._sweep(old_expiry(env.keys))
