"""
Maintenance: what each worker does for all of them, once a second.

It recovers what other workers left behind, and keeps the timer of what comes due.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import ParamSpec

from stepflow.core.ids import split_build
from stepflow.core.run import StopKind, StopRequest
from stepflow.engine.cancel import stop_run
from stepflow.engine.children import tell_of_gone
from stepflow.engine.env import Env
from stepflow.engine.gate import one_by_one, put_away, report_strays
from stepflow.engine.versions import FORGET_S, LIVE_S, live_builds
from stepflow.errors import RedisRefused, StepflowError
from stepflow.store.calls import Plan
from stepflow.store.claims import QueueSource, no_longer_live, prune_waiting_list, waiting_source
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.maintenance import MaintenanceScan, move_due, scan_maintenance
from stepflow.store.query import forget_builds, forget_versions, say_versions
from stepflow.worker.limits.keeper import LimitKeeper
from stepflow.worker.recover import recover_lapsed, recover_lost_delivery
from stepflow.worker.schedules import ScheduleKeeper
from stepflow.worker.upkeep.groups import GroupKeeper
from stepflow.worker.upkeep.indexes import IndexUpkeep

P = ParamSpec("P")

log = logging.getLogger("stepflow.worker")

#: seconds between two scans of one worker
ROUND_S = 1.0
#: seconds that a worker which leaves waits for its farewell to be written
FAREWELL_S = 1.0
#: due deliveries moved in one script
MOVED = 100
#: members of each kind that one scan shows, and scans in a row at most
SHOWN, LOOKS = 50, 100


class Maintenance:
    """
    Recovery, deadlines, lost deliveries, old index entries and the due timer.

    *serves* says which runners' deliveries this worker takes from the waiting lists beside each RQ
    queue; *versions* are the workflows it has, which it reports with each scan. *announce* writes
    again what a worker writes once at its start: it is called when Redis has forgotten this worker.
    *schedules* fires those whose time has come, *groups* moves those on that are due, *limits*
    looks at lines of limits.
    *report* sends what the worker has counted; it is called in each round.
    Without *has_timer* only a scan moves what is due.

    While Redis refuses or does not answer, no worker can renew its claims. After that, claims that
    ran out are left alone for two thirds of a lease, in which each live worker has renewed its own.
    """

    def __init__(
        self,
        env: Env,
        connection: AsyncCaller,
        *,
        worker: str,
        sources: Sequence[QueueSource],
        queues: Sequence[str],
        serves: Mapping[str, Collection[str]],
        versions: Sequence[str] = (),
        on_look: Callable[[MaintenanceScan, list[QueueSource]], None],
        announce: Callable[[], Awaitable[None]],
        report: Callable[[], Awaitable[None]],
        schedules: ScheduleKeeper | None = None,
        groups: GroupKeeper | None = None,
        limits: LimitKeeper | None = None,
        has_timer: bool = True,
    ) -> None:
        self._env = env
        self._connection = connection
        self._worker = worker
        self._sources = list(sources)
        #: names the workers with the same queues
        self.group = "+".join(sorted(queues))
        self._serves = serves
        self._indexes = IndexUpkeep(env, connection, {key for of in serves.values() for key in of})
        self._versions = versions
        self._on_look = on_look
        self._announce = announce
        self._schedules = schedules
        self._groups = groups
        self._limits = limits
        self._report = report
        self._has_timer = has_timer
        #: whether Redis may have forgotten what this worker writes once
        self._may_be_forgotten = False
        self._has_scanned = False
        #: kept during a round: one after the farewell would bring this worker back
        self._round = asyncio.Lock()
        self._has_left = False
        self._was_cut_off = False
        #: when (unix seconds) claims that ran out are recovered again
        self._recovers_from = 0.0
        self._suspects: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0.0
        self._moving: asyncio.Task[None] | None = None

    def serve(self, sources: Sequence[QueueSource], serves: Mapping[str, Collection[str]]) -> None:
        """Look after *sources* from now on; *serves* is as at the start."""
        self._sources, self._serves = list(sources), serves

    async def run(self) -> None:
        """Scan once a second until cancelled."""
        while True:
            await self.go_safely()
            await asyncio.sleep(ROUND_S)

    async def go_safely(self) -> None:
        """Make one round; a failure is logged, and the next round tries again."""
        async with self._round:
            if not self._has_left:
                with one_by_one("a round was cut short"):
                    await self.go()
                with one_by_one("what was counted could not be sent; the next round tries again"):
                    await self._report()

    async def go(self) -> None:
        """Scan and do what is found, again at once while there is more than one scan shows."""
        for _ in range(LOOKS):
            look = await self._scan_and_act()
            if (
                await self._indexes.go(look)
                or max(len(look.lapsed), len(look.overdue)) + len(look.strays) >= SHOWN
            ):
                continue
            return

    def note_reconnect(self) -> None:
        """Note that another connection was made, perhaps to a server that lost this worker."""
        self._may_be_forgotten = True

    def note_outage(self) -> None:
        """
        Note that Redis refused a write or did not answer.

        The claims of other workers could not be renewed either.
        """
        self._was_cut_off = True

    async def _scan(self) -> MaintenanceScan:
        """
        Scan once.

        Lapsed claims are left out while only an outage may have kept them from being renewed.
        """
        env = self._env
        lease_s, knows_time = env.settings.worker.lease_s, not env.clock.is_stale
        sent_at = env.clock.now()
        call = scan_maintenance(
            env.keys,
            self._sources,
            self.group,
            self._worker,
            given=env.clock.given,
            silent_s=LIVE_S,
            dead_s=env.settings.retention.hook_s,
            lease_s=lease_s,
            old_runner_indexes=self._indexes.old_runners,
        )
        try:
            look = await self._connection.call(call)
        except RedisRefused:
            self.note_outage()
            raise
        env.clock.learn(look.now)
        # by the server's clock, from the sending to its execution: a loop that user code blocked
        # does not count
        if self._was_cut_off or (knows_time and look.now - sent_at > lease_s / 3):
            self._was_cut_off, self._recovers_from = False, look.now + lease_s * 2 / 3
            log.warning(
                "Redis is there again; claims that ran out are left to their workers for %g s",
                lease_s * 2 / 3,
            )
        return look if look.now >= self._recovers_from else look._replace(lapsed=[])

    async def _scan_and_act(self) -> MaintenanceScan:
        env, look = self._env, await self._scan()
        if look.is_new and self._has_scanned:
            log.info(
                "Redis had forgotten worker %s; what it writes at its start is written again",
                self._worker,
            )
            self._may_be_forgotten = True
        self._has_scanned = True
        if self._may_be_forgotten:  # until it could be written
            await self._announce()
            self._may_be_forgotten = False
        if self._versions:
            with one_by_one("the versions that this worker has could not be reported"):
                await self._connection.call(say_versions(env.keys, self._versions, look.now))
        self._on_look(look, await self._waiting_lists(look.waiting_lists))
        self.note_due(look.next_due)
        if look.next_schedule is not None and self._schedules is not None:
            await self._schedules.prepare(look.next_schedule)
        report_strays(look.strays)
        for run_id in look.restored:
            log.warning("run=%s had been lost from an index that leads to it; put back", run_id)
        deadline = StopRequest(StopKind.DEADLINE, "deadline", look.now)
        await asyncio.gather(
            *(self._carry(one, recover_lapsed, one, env) for one in look.lapsed),
            *(self._carry(run_id, stop_run, run_id, deadline, env) for run_id in look.overdue),
            *(self._carry(one, tell_of_gone, one, child, env) for one, child in look.orphans),
        )
        await self._redeliver_missing(look)
        if self._limits is not None:
            self.note_due(await self._limits.go())
        return look

    async def _carry(
        self, what: str, plan: Callable[P, Plan[bool]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Make a plan and carry it out; an error is logged and stops no other."""
        with one_by_one(what):
            await carry_out(self._connection, plan(*args, **kwargs))

    async def _redeliver_missing(self, look: MaintenanceScan) -> None:
        """
        Hand over again what has waited without a queue entry for too long.

        A stock RQ worker that starts has taken the entry out for a moment.
        """
        self._suspects = {member: self._suspects.get(member, look.now) for member in look.missing}
        for member, since in self._suspects.items():
            if look.now - since >= self._env.settings.worker.redeliver_after_s:
                await self._carry(member, recover_lost_delivery, member, self._env)

    async def _waiting_lists(self, entries: Sequence[str]) -> list[QueueSource]:
        """Give the waiting lists that this worker serves; empty ones are removed."""
        parts = [entry.partition("|") for entry in entries]
        mine = [
            (queue, runner) for queue, _, runner in parts if await self._is_served(queue, runner)
        ]
        sources = []
        for queue, runner in mine:
            source, entry = waiting_source(self._env.keys, queue, runner), f"{queue}|{runner}"
            if await self._connection.call(prune_waiting_list(self._env.keys, source, entry)):
                sources.append(source)
        return sources

    async def _is_served(self, rq_queue: str, runner: str) -> bool:
        """
        Say whether this worker takes from a waiting list.

        That is from those of its runners, of its builds, and of builds that no live worker has.
        """
        served = self._serves.get(rq_queue, ())
        key, build = split_build(runner)
        if runner in served or not build or key not in served:
            return runner in served
        queue, _ = self._env.keys.split_queue(rq_queue)
        live = await carry_out(self._connection, live_builds(key, queue, self._env))
        return build not in live

    def note_due(self, due_at: float | None) -> None:
        """Set the timer to *due_at* if that is earlier than what it is set to."""
        if not self._has_timer or due_at is None:
            return
        if self._timer is not None and self._timer_due <= due_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer_due = due_at
        self._timer = loop.call_later(max(0.0, due_at - self._env.clock.now()), self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._moving is None or self._moving.done():
            self._moving = asyncio.get_running_loop().create_task(self._move())

    async def _move(self) -> None:
        """Move what is due into its queue, all of it, and set the timer for the next."""
        env, count = self._env, MOVED
        with one_by_one("what is due could not be moved; the next round tries again"):
            while count == MOVED:
                call = move_due(env.keys, given=env.clock.given, now=env.clock.now(), limit=MOVED)
                look = await self._connection.call(call)
                count = look.moved + len(look.damaged)
                env.clock.learn(look.now)
                if look.schedules and self._schedules is not None:
                    await self._schedules.fire(look.schedules)
                    count = MOVED  # once more: when those are due next is known only now
                if look.groups and self._groups is not None:
                    self._groups.start(look.groups)
                if look.lines and self._limits is not None:
                    await self._limits.call_due(look.lines)
                    count = MOVED  # as above
                report_strays([f"{env.keys.due} {member}" for member in look.strays])
                if not all([await self._put_away(member) for member in look.damaged]):
                    # they are still first in the set: the next round tries again, not the timer
                    return
            self.note_due(look.next_due)

    async def _put_away(self, member: str) -> bool:
        was_damaged: list[bool] = []
        with one_by_one(member):
            was_damaged.append(await carry_out(self._connection, put_away(member, self._env)))
        return any(was_damaged)

    async def leave(self) -> None:
        """
        Report that this worker leaves, so that the others take its share of the queues.

        Does nothing when Redis is gone. No round begins after it.
        """
        self._has_left = True
        with suppress(StepflowError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S), self._round:
                await self._report()
                await self._connection.call(
                    no_longer_live(self._env.keys, self.group, self._worker)
                )
                await self._connection.call(forget_builds(self._env.keys, [self._worker]))
                if self._schedules is not None:
                    await self._schedules.leave()
                if self._versions:  # others that have them report it within a second
                    now = self._env.clock.now()
                    await self._connection.call(
                        say_versions(self._env.keys, self._versions, now - LIVE_S)
                    )
                    await self._connection.call(forget_versions(self._env.keys, now - FORGET_S))

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._moving is not None:
            self._moving.cancel()
        if self._groups is not None:
            self._groups.stop()
