"""The worker: its parts put together, started, and ended gracefully."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from stepflow.engine.env import Env
from stepflow.engine.outbox import app_hooks
from stepflow.engine.registry import Registry
from stepflow.store.channel import ChannelMessage
from stepflow.store.claims import QueueSource, source_of, sources_of
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection, carry_out
from stepflow.store.hooks import ANYONE
from stepflow.store.maintenance import MaintenanceScan
from stepflow.store.server_check import check_format
from stepflow.worker.adopt import adopt
from stepflow.worker.announce import announce
from stepflow.worker.connections import WorkerConnections
from stepflow.worker.drive import begin
from stepflow.worker.fetcher import Burst, Fetcher
from stepflow.worker.maintenance import Maintenance
from stepflow.worker.notify import Deliver, NextWait, Notifier
from stepflow.worker.renew import Beating, Renewer
from stepflow.worker.shutdown import way_out
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.worker")

#: seconds between looks for steps past their time
SWEEP_S = 0.1
#: seconds the loop may lag before a worker that is not alone lets kept runs go
LAG_S = 0.5


def new_worker_name() -> str:
    """Make a worker's name: short, for it stands in every claim token, and never used twice."""
    return f"sf-{secrets.token_hex(5)}"


@dataclass(slots=True)
class WorkerOptions:
    """What one worker process is told; the rest is in the settings."""

    queues: Sequence[str] = ("default",)
    concurrency: int = 100
    burst: bool = False
    name: str = field(default_factory=new_worker_name)


async def _end_all(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class Worker:
    """
    One worker process: feeds, rounds, renewing thread, and the way out.

    `run` returns when it was told to leave, or with `burst` when the queues are empty. *on_blocked*
    ends a process whose loop user code blocks for good, called on the renewing thread; *beat*
    writes RQ's signs of life, on a thread of its own.
    """

    def __init__(
        self,
        address: Address,
        env: Env,
        registry: Registry,
        options: WorkerOptions,
        *,
        deliver: Deliver,
        next_wait: NextWait,
        beat: Callable[[], None] | None = None,
        on_blocked: Callable[[], None] | None = None,
    ) -> None:
        self._address = address
        self._env = env
        self._registry = registry
        self._options = options
        self._deliver = deliver
        self._next_wait = next_wait
        self._beat = beat
        self._on_blocked = on_blocked
        self._leave = asyncio.Event()
        self._fetchers: list[Fetcher] = []
        self._suspended = False
        self._live_workers = 1
        self.worker_state: WorkerState | None = None
        #: set once claims are being taken
        self.ready = asyncio.Event()
        #: whether the worker left because functions that do not return took all its slots
        self.stuck = False

    @property
    def is_busy(self) -> bool:
        """Whether a run is held right now."""
        return self.worker_state is not None and bool(self.worker_state.runs)

    @property
    def in_hand(self) -> list[str]:
        """Name the runs that are held right now."""
        return (
            []
            if self.worker_state is None
            else [f"run={claimed.run.id}" for claimed in list(self.worker_state.runs.values())]
        )

    def leave(self) -> None:
        """Begin to leave: no more claims, running steps may finish. Called on the loop."""
        self._leave.set()

    async def run(self) -> None:
        """Work until told to leave."""
        async with AsyncExitStack() as stack:
            links = await stack.enter_async_context(
                WorkerConnections(self._address, self._options.name, self._env.settings)
            )
            worker_state = self.worker_state = self._make_worker_state(links.main)
            stack.callback(worker_state.end)
            await carry_out(links.main, check_format(self._env.keys))
            await self._announce(links.main)
            maintenance = self._make_maintenance(worker_state, links.main)
            stack.callback(maintenance.stop)
            worker_state.on_due = maintenance.note_due
            notifier = self._make_notifier(worker_state, maintenance, links.main)
            self._fetchers = self._make_fetchers(
                worker_state, notifier, links.main, links.wakes, maintenance
            )
            tasks: list[asyncio.Task[Any]] = []
            stack.push_async_callback(_end_all, tasks)

            def reconnected() -> None:
                maintenance.note_reconnect()
                tasks.append(asyncio.ensure_future(self._adopt(worker_state, notifier, links.main)))

            links.main.on_reconnect = reconnected
            channel = self._env.keys.tell_channel(self._options.name)
            await links.listener.subscribe(channel, lambda message: hear(worker_state, message))
            await maintenance.go_safely()
            renewer = Renewer(
                worker_state,
                links.renewing,
                on_blocked=self._on_blocked,
                on_refused=maintenance.note_outage,
            )
            renewer.others = notifier.claims
            stack.callback(renewer.stop)
            renewer.start()
            if self._beat is not None:
                stack.enter_context(Beating(self._beat))
            feeding = [asyncio.ensure_future(fetcher.run()) for fetcher in self._fetchers]
            watching = [
                asyncio.ensure_future(work)
                for work in (maintenance.run(), self._sweep(worker_state))
            ]
            tasks += [*feeding, *watching]
            self._say_ready()
            await self._until_leaving(worker_state, notifier, [*feeding, *watching])
            for fetcher in self._fetchers:
                fetcher.leave()
            await way_out(worker_state, notifier, maintenance, feeding, is_stuck=self.stuck)

    def _say_ready(self) -> None:
        options = self._options
        self.ready.set()
        log.info(
            "worker %s listens to %s, concurrency %s",
            options.name,
            ", ".join(options.queues),
            options.concurrency,
        )

    def _make_worker_state(self, link: AsyncConnection) -> WorkerState:
        options = self._options
        return WorkerState(
            options.name, self._env, self._registry, link, concurrency=options.concurrency,
            queues=options.queues, app_hooks=app_hooks(self._registry),
        )  # fmt: skip

    def _make_notifier(
        self, worker_state: WorkerState, maintenance: Maintenance, link: AsyncConnection
    ) -> Notifier:
        return Notifier(
            self._env, link, self._registry, deliver=self._deliver, next_wait=self._next_wait,
            threads=worker_state.threads, on_due=maintenance.note_due,
        )  # fmt: skip

    def _make_maintenance(self, worker_state: WorkerState, link: AsyncConnection) -> Maintenance:
        sources = [
            source for queue in self._options.queues for source in sources_of(self._env.keys, queue)
        ]
        serves: dict[str, Collection[str]] = {
            source.rq_queue: self._registry.runners for source in sources
        }
        serves[self._env.keys.hook_queue] = [
            *self._registry.names,
            ANYONE,
        ]  # hooks know no versions
        return Maintenance(
            self._env, link, worker=self._options.name, sources=[*sources, self._hook_source()],
            queues=self._options.queues, serves=serves, versions=self._registry.versioned,
            on_look=lambda look, extra: self._heed(worker_state, look, extra),
            announce=lambda: self._announce(link),
        )  # fmt: skip

    def _hook_source(self) -> QueueSource:
        keys = self._env.keys
        return source_of(keys, keys.hook_queue, keys.wake(keys.hook_queue))

    def _make_fetchers(
        self,
        worker_state: WorkerState,
        notifier: Notifier,
        link: AsyncConnection,
        wakes: Sequence[AsyncConnection],
        maintenance: Maintenance,
    ) -> list[Fetcher]:
        def fetcher(
            wake: AsyncConnection,
            sources: list[QueueSource],
            runners: list[str],
            slots: Any,
            start: Any,
        ) -> Fetcher:
            return Fetcher(
                self._env, link, wake, worker=self._options.name, slots=slots, sources=sources,
                runners=runners, numbers=worker_state.take_numbers, start=start,
                adopt=lambda: self._adopt(worker_state, notifier, link),
                on_due=maintenance.note_due,
            )  # fmt: skip

        runners = list(self._registry.runners)
        steps = [
            source for queue in self._options.queues for source in sources_of(self._env.keys, queue)
        ]
        return [
            fetcher(
                wakes[0],
                steps,
                runners,
                worker_state.slots,
                lambda taken: begin(taken, worker_state),
            ),
            fetcher(
                wakes[1],
                [self._hook_source()],
                [*self._registry.names, ANYONE],
                notifier.slots,
                notifier.start,
            ),
        ]

    async def _announce(self, link: AsyncConnection) -> None:
        """Say what a worker says once at its start, and again should Redis forget it."""
        await carry_out(link, announce(self._registry, self._env))

    def _heed(
        self, worker_state: WorkerState, look: MaintenanceScan, extra: list[QueueSource]
    ) -> None:
        """Take from a round what changes how this worker works."""
        if look.suspended != self._suspended:
            log.info(
                "RQ is %s: %s",
                *(("suspended", "holding") if look.suspended else ("resumed", "going on")),
            )
        self._suspended = look.suspended
        self._live_workers = look.live_workers
        for fetcher in self._fetchers:
            fetcher.live_workers = look.live_workers
        if self._fetchers:
            hook_queue = self._env.keys.hook_queue
            self._fetchers[0].offer([source for source in extra if source.rq_queue != hook_queue])
            self._fetchers[1].offer([source for source in extra if source.rq_queue == hook_queue])
        worker_state.must_let_go = self._suspended or self._leave.is_set()

    async def _sweep(self, worker_state: WorkerState) -> None:
        """Look for steps past their time, and for a loop that user code holds up."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(SWEEP_S)
            worker_state.turned_at = loop.time()
            lag_s = loop.time() - before - SWEEP_S
            lags = lag_s > LAG_S and self._live_workers > 1
            worker_state.must_let_go = self._suspended or self._leave.is_set() or lags
            worker_state.sweep()
            if worker_state.stray_threads >= worker_state.slots.size:
                log.error(
                    "all %s slots are kept by functions that were given up and do not return; leaving",
                    worker_state.slots.size,
                )
                self.stuck = True
                self._leave.set()

    async def _until_leaving(
        self, worker_state: WorkerState, notifier: Notifier, parts: Sequence[asyncio.Task[None]]
    ) -> None:
        """
        Wait until told to leave.

        A part that ends before, by a fault or cancelled by user code, ends the worker.
        """
        if self._options.burst:
            Burst(
                self._fetchers,
                is_busy=lambda: bool(worker_state.slots.used or notifier.slots.used),
                leave=self.leave,
            )
        leaving = asyncio.ensure_future(self._leave.wait())
        await asyncio.wait({leaving, *parts}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        for part in parts:
            if part.done():
                part.result()
        if not self._leave.is_set():
            raise asyncio.CancelledError  # of ours, by user code

    async def _adopt(
        self, worker_state: WorkerState, notifier: Notifier, link: AsyncConnection
    ) -> None:
        """
        Take up the claims that stand under this worker's name and that it does not know.

        Their reply was lost.
        """
        await adopt(self._options.name, worker_state, notifier, link)


def hear(worker_state: WorkerState, message: str) -> None:
    """Take in what was said on the worker's channel: a stop, or news for a run that it holds."""
    try:
        told = ChannelMessage.read(message)
    except ValueError:
        log.warning("a message on this worker's channel says nothing: %.100r", message)
        return
    if told.stop is None:
        worker_state.notify_inbox(told.run_id)
    else:
        worker_state.hear(told.run_id, told.stop)


def describe(options: WorkerOptions) -> Mapping[str, Any]:
    """Give what `stepflow workers` shows of this process besides RQ's own fields."""
    return {"concurrency": options.concurrency, "pid": os.getpid()}
