"""What both clients do with schedules; loaded when you first ask for `client.schedules`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack

from stepflow.engine.schedules import verbs
from stepflow.engine.schedules.backfill import begin_backfill
from stepflow.engine.schedules.info import FiringInfo, NextTime, ScheduleInfo
from stepflow.engine.schedules.spec import ScheduleOptions, ScheduleSpec, make_spec
from stepflow.engine.schedules.why import ScheduleWhy, explain
from stepflow.engine.spec import RunSpec
from stepflow.engine.steering.audit import name_of, noted
from stepflow.engine.steering.bulk import RATE, BulkInfo
from stepflow.store.calls import Plan
from stepflow.times import unix_time

if TYPE_CHECKING:
    from stepflow.client.base import BaseClient
    from stepflow.client.doing import AsyncDoing, Doing


class _Plans:
    """The verbs as plans, for both clients."""

    def __init__(self, client: BaseClient) -> None:
        self._of = client

    def _spec(
        self,
        schedule_id: str,
        runner: str | Callable[..., Any],
        cron: str | None,
        payload: Any,
        options: ScheduleOptions,
    ) -> ScheduleSpec:
        spec = RunSpec(runner, payload)  # type: ignore[arg-type]  # a function is named now
        named, _ = self._of._named(spec, "client.schedules.put")  # noqa: SLF001  one house
        if isinstance(runner, str):
            return make_spec(schedule_id, runner, cron, payload, options)
        return make_spec(schedule_id, named.runner, cron, payload, options)

    def _put(self, spec: ScheduleSpec, by: str | None) -> Plan[ScheduleInfo]:
        plan = verbs.put(spec, self._of.env)
        return noted(plan, "put-schedule", spec.id, by, spec.rules.times.words)

    def _pause(self, schedule_id: str, note: str, by: str | None) -> Plan[bool]:
        who = name_of(by)
        plan = verbs.pause(schedule_id, note, who, self._of.env)
        return noted(plan, "pause-schedule", schedule_id, who, note)

    def _resume(self, schedule_id: str, by: str | None, *, catch_up: bool) -> Plan[bool]:
        plan = verbs.resume(schedule_id, self._of.env, catch_up=catch_up)
        return noted(plan, "resume-schedule", schedule_id, by)

    def _trigger(self, schedule_id: str, overlap: str, by: str | None) -> Plan[str | None]:
        plan = verbs.trigger(schedule_id, self._of.env, self._of.versions, overlap=overlap)
        return noted(plan, "trigger", schedule_id, by)

    def _backfill(
        self,
        schedule_id: str,
        start: float | datetime,
        end: float | datetime,
        overlap: str,
        rate: float,
        by: str | None,
    ) -> Plan[BulkInfo]:
        who = name_of(by)
        plan = begin_backfill(
            schedule_id, unix_time(start, "start"), unix_time(end, "end"), self._of.env, by=who,
            overlap=overlap, rate=rate,
        )  # fmt: skip
        return noted(plan, "backfill", schedule_id, who, f"{start} to {end}")

    def _delete(self, schedule_id: str, by: str | None) -> Plan[bool]:
        return noted(verbs.delete(schedule_id, self._of.env), "delete-schedule", schedule_id, by)


class Schedules(_Plans):
    """Schedules, for `Client`: `client.schedules.put("nightly", "etl", "0 2 * * *")`."""

    def __init__(self, client: BaseClient, doing: Doing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    def put(
        self,
        schedule_id: str,
        runner: str | Callable[..., Any],
        cron: str | None = None,
        *,
        payload: Any = None,
        by: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleInfo:
        """
        Begin a run of *runner* at the times of a *cron* line, of `every=` or of `at=`.

        Put over a schedule with the same id, whose pause stays. Of one that code declares only the
        times can be put. Raises InvalidOption, InvalidName, and what a submit raises for a payload.
        """
        return self._do(self._put(self._spec(schedule_id, runner, cron, payload, options), by))

    def get(self, schedule_id: str) -> ScheduleInfo:
        """Read a schedule; raises ScheduleNotFound."""
        return self._do(verbs.get(schedule_id, self._of.env))

    def list(self, *, limit: int = 1000, offset: int = 0) -> Sequence[ScheduleInfo]:
        """Read schedules, the one put first first."""
        return self._do(verbs.schedules(self._of.env, limit=limit, offset=offset))

    def history(self, schedule_id: str) -> Sequence[FiringInfo]:
        """Read the last 50 times of a schedule, the newest first; raises ScheduleNotFound."""
        return self._do(verbs.firings(schedule_id, self._of.env))

    def next(self, schedule_id: str, count: int = 10) -> Sequence[NextTime]:
        """Give the next times of a schedule, in its time zone; raises ScheduleNotFound."""
        return self._do(verbs.upcoming(schedule_id, self._of.env, count=count))

    def why(self, schedule_id: str) -> ScheduleWhy:
        """Say why a schedule begins no run right now; raises ScheduleNotFound."""
        return self._do(explain(schedule_id, self._of.env))

    def pause(self, schedule_id: str, note: str = "", *, by: str | None = None) -> bool:
        """Pause a schedule; False when it was paused. Raises ScheduleNotFound."""
        return self._do(self._pause(schedule_id, note, by))

    def resume(self, schedule_id: str, *, catch_up: bool = False, by: str | None = None) -> bool:
        """
        Let a paused schedule go on; False when it was not paused. Raises ScheduleNotFound.

        With *catch_up* the times that came meanwhile are made up for, as its own policy says.
        """
        return self._do(self._resume(schedule_id, by, catch_up=catch_up))

    def trigger(
        self, schedule_id: str, *, overlap: str = "allow", by: str | None = None
    ) -> str | None:
        """
        Begin a run now, whatever the times; gives its id.

        *overlap* is `allow`, `cancel_other`, or `skip`, with which a last run that has not ended
        gives None. Raises ScheduleNotFound, InvalidOption.
        """
        return self._do(self._trigger(schedule_id, overlap, by))

    def backfill(
        self,
        schedule_id: str,
        start: float | datetime,
        end: float | datetime,
        *,
        overlap: str = "buffer_all",
        rate: float = RATE,
        by: str | None = None,
    ) -> BulkInfo:
        """
        Begin the runs of all times from *start* to *end* that are past, the oldest first.

        Workers carry it out as a bulk, which `client.bulk_info` and `client.stop_bulk` take; a time
        that has had its run counts as changed. With *overlap* `buffer_all` each run begins when the
        one before has ended, with `allow` they begin at *rate* a second. Raises ScheduleNotFound,
        InvalidOption.
        """
        return self._do(self._backfill(schedule_id, start, end, overlap, rate, by))

    def delete(self, schedule_id: str, *, by: str | None = None) -> bool:
        """
        Delete a schedule; its runs stay. False when there is none.

        One that code declares comes back when a worker starts.
        """
        return self._do(self._delete(schedule_id, by))


class AsyncSchedules(_Plans):
    """Schedules, for `AsyncClient`; see Schedules."""

    def __init__(self, client: BaseClient, doing: AsyncDoing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    async def put(
        self,
        schedule_id: str,
        runner: str | Callable[..., Any],
        cron: str | None = None,
        *,
        payload: Any = None,
        by: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleInfo:
        """See Schedules.put."""
        spec = self._spec(schedule_id, runner, cron, payload, options)
        return await self._do(self._put(spec, by))

    async def get(self, schedule_id: str) -> ScheduleInfo:
        """See Schedules.get."""
        return await self._do(verbs.get(schedule_id, self._of.env))

    async def list(self, *, limit: int = 1000, offset: int = 0) -> Sequence[ScheduleInfo]:
        """See Schedules.list."""
        return await self._do(verbs.schedules(self._of.env, limit=limit, offset=offset))

    async def history(self, schedule_id: str) -> Sequence[FiringInfo]:
        """See Schedules.history."""
        return await self._do(verbs.firings(schedule_id, self._of.env))

    async def next(self, schedule_id: str, count: int = 10) -> Sequence[NextTime]:
        """See Schedules.next."""
        return await self._do(verbs.upcoming(schedule_id, self._of.env, count=count))

    async def why(self, schedule_id: str) -> ScheduleWhy:
        """See Schedules.why."""
        return await self._do(explain(schedule_id, self._of.env))

    async def pause(self, schedule_id: str, note: str = "", *, by: str | None = None) -> bool:
        """See Schedules.pause."""
        return await self._do(self._pause(schedule_id, note, by))

    async def resume(
        self, schedule_id: str, *, catch_up: bool = False, by: str | None = None
    ) -> bool:
        """See Schedules.resume."""
        return await self._do(self._resume(schedule_id, by, catch_up=catch_up))

    async def trigger(
        self, schedule_id: str, *, overlap: str = "allow", by: str | None = None
    ) -> str | None:
        """See Schedules.trigger."""
        return await self._do(self._trigger(schedule_id, overlap, by))

    async def backfill(
        self,
        schedule_id: str,
        start: float | datetime,
        end: float | datetime,
        *,
        overlap: str = "buffer_all",
        rate: float = RATE,
        by: str | None = None,
    ) -> BulkInfo:
        """See Schedules.backfill."""
        return await self._do(self._backfill(schedule_id, start, end, overlap, rate, by))

    async def delete(self, schedule_id: str, *, by: str | None = None) -> bool:
        """See Schedules.delete."""
        return await self._do(self._delete(schedule_id, by))
