"""The parts of a worker, put together: the same for a real worker and for the testing harness."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from stepflow.core.ids import build_key
from stepflow.engine.env import Env
from stepflow.engine.outbox import paused_hooks
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.resources.health import Health
from stepflow.engine.versions import announce_builds
from stepflow.engine.versions.choose import LIMITS
from stepflow.store.claims import ClaimedDelivery, QueueSource, source_of, sources_of
from stepflow.store.connection.async_ import AsyncCaller, AsyncConnection, carry_out
from stepflow.store.connection.sync import SyncCaller
from stepflow.store.durability.level import Durability
from stepflow.store.hooks import ANYONE, ARCHIVER
from stepflow.store.maintenance import MaintenanceScan
from stepflow.worker.adopt import adopt
from stepflow.worker.announce import announce
from stepflow.worker.counting.report import CountReporter
from stepflow.worker.drive import begin
from stepflow.worker.fetcher import Burst, Fetcher, Slots
from stepflow.worker.limits.keeper import LimitKeeper
from stepflow.worker.maintenance import Maintenance
from stepflow.worker.notify import Deliver, NextWait, Notifier
from stepflow.worker.renew import Renewer
from stepflow.worker.schedules import ScheduleKeeper
from stepflow.worker.state import CallFunction, WorkerState, call_function
from stepflow.worker.upkeep.groups import GroupKeeper
from stepflow.worker.upkeep.server_watch import ServerWatch

log = logging.getLogger("stepflow.worker")


class WorkerParts:
    """
    What a worker is made of: its state, maintenance, notifier, fetchers and renewer.

    Made on the loop they work on; nothing is started. *wakes* has a connection for each fetcher to
    block on, the one for steps and the one for hooks; *renewing* is the renewing thread's own.
    *on_idle*, given for a burst, is called when nothing is left to do. Without *has_timer* only
    rounds of maintenance move what is due. *call_function* is as of `WorkerState`.
    """

    def __init__(
        self,
        env: Env,
        registry: Registry,
        *,
        name: str,
        queues: Sequence[str],
        concurrency: int,
        main: AsyncCaller,
        wakes: Sequence[AsyncConnection],
        renewing: SyncCaller,
        deliver: Deliver,
        next_wait: NextWait,
        on_idle: Callable[[], None] | None = None,
        on_blocked: Callable[[], None] | None = None,
        call_function: CallFunction = call_function,
        has_timer: bool = True,
    ) -> None:
        self._env = env
        self._registry = registry
        self._name = name
        self._main = main
        self._wakes = wakes
        self._has_timer = has_timer
        self.live_workers = 1
        self._adopting: set[asyncio.Task[None]] = set()
        self.state = WorkerState(
            name, env, registry, main, concurrency=concurrency, queues=queues,
            paused_hooks=paused_hooks(registry),
            on_due=self._note_due, call_function=call_function,
        )  # fmt: skip
        self.reporter = CountReporter(self.state.counters, env, main, worker=name)
        self.notifier = Notifier(
            env, main, registry, deliver=deliver, next_wait=next_wait, threads=self.state.threads,
            counters=self.state.counters, on_due=self._note_due,
        )  # fmt: skip
        self._burst = (
            None if on_idle is None else Burst(2, is_busy=lambda: self.is_busy, leave=on_idle)
        )
        self.renewer = Renewer(
            self.state,
            renewing,
            others=self.notifier.claims,
            on_blocked=on_blocked,
            on_refused=self._note_outage,
        )
        self.server_watch = ServerWatch(self.state, main)
        self.schedules = ScheduleKeeper(
            env, registry, main, worker=name, on_left_out=self.state.counters.note_left_out
        )
        self.groups = GroupKeeper(env, main)
        self.limits = LimitKeeper(env, registry, main, has_met=lambda: self.state.has_met_limits)
        self.maintenance: Maintenance
        self.fetchers: list[Fetcher]
        self.serve(queues)

    @property
    def is_busy(self) -> bool:
        """Whether a run, a hook or a group is in progress."""
        return bool(self.state.slots.used or self.notifier.slots.used or self.groups.is_busy)

    def confirm_by(self, callers: Mapping[Durability, AsyncCaller]) -> None:
        """Have the runs of runners that chose a durability go by it, and the hooks of these."""
        self.state.callers = callers
        durable = self._registry.durable
        self.notifier.confirming = {name: callers[durable[name]] for name in durable}

    def serve(self, queues: Sequence[str], levels: Collection[str] = ()) -> None:
        """
        Make the maintenance and the fetchers for *queues*, with nothing noted yet.

        *levels* are the RQ queues of priorities without a name that are known to be in use.
        """
        keys = self._env.keys
        self._queues, self._levels = list(queues), frozenset(levels)
        self._hooks = source_of(keys, keys.hook_queue, keys.wake(keys.hook_queue))
        steps = self._sources()
        runners = list(self._registry.runners)
        self.state.note_levels(levels)
        self.maintenance = Maintenance(
            self._env, self._main, worker=self._name, sources=[*steps, self._hooks], queues=queues,
            serves=self._served(steps), versions=self._reported(runners), on_look=self._apply_scan,
            announce=self.announce, report=self.reporter.send, schedules=self.schedules,
            groups=self.groups, limits=self.limits,
            has_timer=self._has_timer,
        )  # fmt: skip
        self.fetchers = [
            self._make_fetcher(
                0, steps, runners, self.state.slots, partial(begin, worker_state=self.state)
            ),
            self._make_fetcher(
                1, [self._hooks], self._hook_runners(), self.notifier.slots, self.notifier.start
            ),
        ]  # fmt: skip

    def _reported(self, runners: Sequence[str]) -> list[str]:
        """Give what this worker says each second that it has."""
        return [*runners, LIMITS] if self._registry.limited else [*runners]

    def _sources(self) -> list[QueueSource]:
        """Give what steps are claimed from, the most urgent first."""
        keys, levels = self._env.keys, self._levels
        return [source for queue in self._queues for source in sources_of(keys, queue, levels)]

    def _served(self, steps: Sequence[QueueSource]) -> dict[str, Collection[str]]:
        """Say whose deliveries it takes from the waiting lists beside each RQ queue."""
        builds = [build_key(*item) for item in self.state.builds.items()]
        return {
            **{source.rq_queue: {*self._registry.runners, *builds} for source in steps},
            self._env.keys.hook_queue: self._hook_runners(),
        }

    def _hook_runners(self) -> list[str]:
        """Give whose hook deliveries it takes; hooks know no versions."""
        archiver = [ARCHIVER] if self._registry.archive is not None else []
        return [*self._registry.names, ANYONE, *archiver]

    def _note_levels(self, levels: frozenset[str]) -> None:
        """Serve those priorities without a name from now on that are in use."""
        if levels == self._levels:
            return
        self._levels = levels
        steps = self._sources()
        self.state.note_levels(self._levels)
        self.maintenance.serve([*steps, self._hooks], self._served(steps))
        self.fetchers[0].serve(steps)

    def _make_fetcher(
        self,
        number: int,
        sources: list[QueueSource],
        runners: list[str],
        slots: Slots,
        start: Callable[[ClaimedDelivery], None],
    ) -> Fetcher:
        return Fetcher(
            self._env,
            self._main,
            self._wakes[number],
            worker=self._name,
            slots=slots,
            sources=sources,
            runners=runners,
            take_numbers=self.state.take_numbers,
            start=start,
            adopt=self.adopt,
            on_due=self._note_due,
            on_look=None if self._burst is None else partial(self._burst.looked, number),
        )

    def _note_due(self, due_at: float | None) -> None:
        self.maintenance.note_due(due_at)

    def _note_outage(self) -> None:
        self.maintenance.note_outage()

    def _apply_scan(self, scan: MaintenanceScan, waiting_lists: list[QueueSource]) -> None:
        """Apply what maintenance found that changes how this worker works."""
        if scan.suspended != self.state.is_suspended:
            log.info(
                "RQ is %s: %s",
                *(("suspended", "holding") if scan.suspended else ("resumed", "going on")),
            )
        self.state.is_suspended = scan.suspended
        self._note_levels(scan.levels)
        self.state.leave_queues(scan.paused_queues)
        self.live_workers = scan.live_workers
        hook_queue = self._env.keys.hook_queue
        of_steps = [source for source in waiting_lists if source.rq_queue != hook_queue]
        of_hooks = [source for source in waiting_lists if source.rq_queue == hook_queue]
        for fetcher, sources in zip(self.fetchers, (of_steps, of_hooks), strict=True):
            fetcher.offer(sources, live_workers=scan.live_workers)

    def note_health(self, health: Health) -> None:
        """Take note of how the app's resources are; an unhealthy worker claims nothing."""
        self.state.health = health
        for fetcher in self.fetchers:
            fetcher.hold(holds=self.state.is_unhealthy)

    def note_reconnect(self) -> None:
        """
        Take note that the main connection was made anew.

        The server may have forgotten this worker, and replies of claims may have been lost.
        """
        self.maintenance.note_reconnect()
        for work in (self.server_watch.look(), self.adopt()):
            task = asyncio.ensure_future(work)
            self._adopting.add(task)
            task.add_done_callback(self._adopting.discard)

    async def announce(self) -> None:
        """Say what a worker says once at its start, and again should Redis forget it."""
        await carry_out(self._main, announce(self._registry, self._env))
        group, builds = self.maintenance.group, self.state.builds
        await carry_out(self._main, announce_builds(self._name, group, builds, self._env))
        await self.schedules.announce()
        await self.limits.announce()
        if self._registry.graphs:
            from stepflow.engine.graphs import announce_graphs  # noqa: PLC0415  few have any

            await carry_out(self._main, announce_graphs(self._registry, self._env))

    async def adopt(self) -> None:
        """Begin with what this worker has claimed without knowing: the reply was lost."""
        await adopt(self._name, self.state, self.notifier, self._main)

    async def end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """
        Stop the renewing thread, cancel *tasks*, and stop the timer.

        Whatever is cancelled after this settles nothing.
        """
        self.renewer.stop()
        left = [*tasks, *self._adopting]
        for task in left:
            task.cancel()
        try:
            await asyncio.gather(*left, return_exceptions=True)
        finally:
            self.maintenance.stop()
            self.state.end()
