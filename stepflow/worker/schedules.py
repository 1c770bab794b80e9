"""What a worker does for schedules: it puts those of its code, and fires what has come due."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one
from stepflow.engine.registry import Registry
from stepflow.engine.versions import Versions
from stepflow.store.connection.async_ import AsyncCaller, carry_out


class ScheduleKeeper:
    """
    The schedules as one worker sees them; *worker* is its name.

    *on_left_out* counts times of a schedule that have no run: which schedule, why, how many.

    What only schedules need is loaded when there is one.
    """

    def __init__(
        self,
        env: Env,
        registry: Registry,
        connection: AsyncCaller,
        *,
        worker: str,
        on_left_out: Callable[[str, str, int], None],
    ) -> None:
        self._env = env
        self._registry = registry
        self._connection = connection
        self._worker = worker
        self._on_left_out = on_left_out
        self._versions = Versions(registry.newest, registry.limited)
        self._is_prepared = False

    async def announce(self) -> None:
        """Put what the code at hand declares."""
        if not self._registry.schedules:
            return
        from stepflow.engine.schedules.declared import put_declared  # noqa: PLC0415  as above

        version, declared = self._registry.app_version, self._registry.schedules
        plan = put_declared(self._worker, declared, version, self._env)
        await carry_out(self._connection, plan)

    async def leave(self) -> None:
        """Say that this worker declares nothing any more."""
        if self._registry.schedules:
            from stepflow.store.schedules.moves import forget_declared  # noqa: PLC0415  as above

            await self._connection.call(forget_declared(self._env.keys, [self._worker]))

    async def prepare(self, schedule_id: str) -> None:
        """Load what schedules need, once, before the time of the first one has come."""
        if self._is_prepared:
            return
        self._is_prepared = True
        from stepflow.engine.schedules.fire import prepare_to_fire  # noqa: PLC0415  as above

        with one_by_one(f"schedule={schedule_id}"):
            await carry_out(self._connection, prepare_to_fire(schedule_id, self._env))

    async def fire(self, schedule_ids: Sequence[str]) -> None:
        """Fire schedules whose time has come, side by side."""
        await asyncio.gather(*map(self._fire, schedule_ids))

    async def _fire(self, schedule_id: str) -> None:
        from stepflow.engine.schedules.fire import fire  # noqa: PLC0415  as above

        with one_by_one(f"schedule={schedule_id}"):
            plan = fire(
                schedule_id, self._env, self._versions, declares=self._declares,
                on_left_out=self._on_left_out,
            )  # fmt: skip
            await carry_out(self._connection, plan)

    def _declares(self, schedule_id: str) -> bool:
        return any(each.spec.id == schedule_id for each in self._registry.schedules)
