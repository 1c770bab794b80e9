"""The worker: its parts are connected and started, and end gracefully."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.engine.user_code.lifespan import all_opened
from stepflow.store.channel import ChannelMessage
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncCaller, carry_out
from stepflow.store.connection.server_check import check_format
from stepflow.store.connection.sync import SyncCaller
from stepflow.store.durability.level import Durability
from stepflow.store.values import offloaded
from stepflow.worker.connections import WorkerConnections, caller_over, callers_of
from stepflow.worker.notify import Deliver, NextWait
from stepflow.worker.parts import WorkerParts
from stepflow.worker.renew import HeartbeatThread
from stepflow.worker.shutdown import shut_down
from stepflow.worker.state import WorkerState

if TYPE_CHECKING:
    from stepflow.worker.archiving.rounds import Archiver

log = logging.getLogger("stepflow.worker")

#: seconds between looks for steps past their time
SWEEP_S = 0.1
#: seconds the loop may lag before a worker that is not alone lets kept runs go
LAG_S = 0.5
#: seconds without a turn of the loop after which `stepflow workers` calls the worker blocked
BLOCKED_S = 2.0
#: and after which a thread answers what the loop is asked
STILL_S = 0.5


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
    #: whether it archives ends of runs in a thread, where another process does not
    archives: bool = True


class Worker:
    """
    One worker process: connections, `WorkerParts`, and the order in which they start and end.

    `run` returns when it was told to leave, or with `burst` when the queues are empty. *on_blocked*
    ends a process whose loop user code blocks for good, called on the renewing thread; *heartbeat*
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
        heartbeat: Callable[[], None] | None = None,
        on_blocked: Callable[[], None] | None = None,
    ) -> None:
        env.stand_at(lambda: address)
        self._address = address
        self._env = env
        self._registry = registry
        self._options = options
        self._deliver = deliver
        self._next_wait = next_wait
        self._heartbeat = heartbeat
        self._on_blocked = on_blocked
        self._leave = asyncio.Event()
        #: made by `run`
        self.parts: WorkerParts | None = None
        #: set once claims are being taken
        self.ready = asyncio.Event()
        #: whether the worker left because functions that do not return took all its slots
        self.is_stuck = False

    @property
    def worker_state(self) -> WorkerState | None:
        """The runs it has claimed and what it works with; None before `run`."""
        return None if self.parts is None else self.parts.state

    @property
    def is_busy(self) -> bool:
        """Whether a run is claimed right now."""
        return bool(self.runs_in_progress)

    @property
    def condition(self) -> str:
        """
        Say "blocked" while user code keeps the loop from turning, "leaving" once told to leave.

        Otherwise how its resources are, empty when they are well. May be asked from any thread.
        """
        if self.parts is not None and time.monotonic() - self.parts.state.turned_at > BLOCKED_S:
            return "blocked"
        if self._leave.is_set():
            return "leaving"
        return "" if self.parts is None else self.parts.state.health.line()

    @property
    def finished_steps(self) -> int:
        """How many steps it has carried out."""
        return 0 if self.parts is None else self.parts.state.finished_steps

    @property
    def runs_in_progress(self) -> list[str]:
        """The ids of the runs that are claimed right now."""
        return [] if self.parts is None else list(self.parts.state.runs)

    def what_keeps_it(self) -> list[str]:
        """Name what it does now in words: runs, and what is being closed."""
        closing = [each.name for each in self._registry.lifespans if each.is_closing]
        runs = [f"run={run_id}" for run_id in self.runs_in_progress]
        lifespans = [f"the end of lifespan {name!r}" for name in closing]
        torn_down = [f"the end of resource {name!r}" for name in self._registry.resources.closing]
        return [*runs, *lifespans, *torn_down]

    def leave(self) -> None:
        """Begin to leave: no more claims, running steps may finish. Called on the loop."""
        self._leave.set()

    async def run(self) -> None:
        """Work until told to leave."""
        async with AsyncExitStack() as stack:
            connections = await stack.enter_async_context(
                WorkerConnections(self._address, self._options.name, self._env.settings)
            )
            connections.caller = await caller_over(
                connections.main, self._env, self._env.settings.durability
            )
            # outlives the steps: these are ended before it is closed
            stack.push_async_callback(_end_processes)
            await stack.enter_async_context(all_opened(self._registry.lifespans))
            await stack.enter_async_context(self._registry.resources.opened())
            parts = self.parts = self._make_parts(connections)
            if self._registry.durable:
                parts.confirm_by(await stack.enter_async_context(self._callers(connections)))
            if self._registry.observers is not None:
                stack.push_async_callback(self._registry.observers.told)
            tasks: list[asyncio.Task[None]] = []
            stack.push_async_callback(parts.end, tasks)
            await carry_out(connections.main, check_format(self._env.keys))
            await parts.announce()
            await parts.server_watch.look()
            connections.on_reconnect(parts.note_reconnect)
            await connections.listener.subscribe(
                self._env.keys.tell_channel(self._options.name),
                lambda message: handle_message(message, parts.state),
            )
            await parts.maintenance.go_safely()
            parts.renewer.start()
            if self._heartbeat is not None:
                stack.enter_context(
                    HeartbeatThread(
                        self._heartbeat,
                        lambda: self.condition,
                        lambda: self._answer_if_blocked(parts, connections.renewing),
                    )
                )
            tasks += await self._watch_health(parts)
            tasks += [*self._mirror(parts, connections.caller), *self._sweep(parts)]
            if (archiver := self._archive()) is not None:
                stack.push_async_callback(parts.state.threads.run, self._end_archiver, archiver)
            fetching = [asyncio.ensure_future(fetcher.run()) for fetcher in parts.fetchers]
            tasks += fetching
            tasks += [
                asyncio.ensure_future(work)
                for work in (parts.maintenance.run(), self._watch_loop(parts))
            ]
            self._say_ready()
            await self._until_leaving(tasks)
            for fetcher in parts.fetchers:
                fetcher.leave()
            await shut_down(parts, fetching, is_stuck=self.is_stuck)

    def _make_parts(self, connections: WorkerConnections) -> WorkerParts:
        options = self._options
        return WorkerParts(
            self._env,
            self._registry,
            name=options.name,
            queues=options.queues,
            concurrency=options.concurrency,
            main=connections.caller,
            wakes=connections.wakes,
            renewing=connections.renewing,
            deliver=self._deliver,
            next_wait=self._next_wait,
            on_idle=self.leave if options.burst else None,
            on_blocked=self._on_blocked,
        )

    def _callers(
        self, connections: WorkerConnections
    ) -> AbstractAsyncContextManager[dict[Durability, AsyncCaller]]:
        """Connect for the runs of runners that have chosen a durability."""
        name = self._options.name
        return callers_of(self._registry, connections.main, self._address, name, self._env)

    async def _watch_health(self, parts: WorkerParts) -> list[asyncio.Task[None]]:
        """Ask the resources that have a health how they are, now and from now on."""
        checked = self._registry.resources.checked
        if not checked:
            return []
        from stepflow.worker.health.watch import HealthWatch  # noqa: PLC0415  few apps have any

        watch = HealthWatch(self._options.name, checked, parts.state.threads, parts.note_health)
        await watch.look()
        return [asyncio.ensure_future(watch.run())]

    def _mirror(self, parts: WorkerParts, connection: AsyncCaller) -> list[asyncio.Task[None]]:
        """Mirror live runs into the archive from now on, where that is asked for."""
        settings = self._registry.archive
        if settings is None or not (settings.mirror == "live" or settings.snapshot_every):
            return []
        from stepflow.worker.upkeep.mirror import Mirror  # noqa: PLC0415  few apps have any

        return [asyncio.ensure_future(Mirror(parts.state, connection, settings).run())]

    def _sweep(self, parts: WorkerParts) -> list[asyncio.Task[None]]:
        """Delete large values that no run needs any more, where there is a store for them."""
        if offloaded.in_use is None:
            return []
        from stepflow.worker.upkeep.sweeper import sweeper_of  # noqa: PLC0415  few apps have one

        return [asyncio.ensure_future(sweeper_of(parts.state).run())]

    def _archive(self) -> Archiver | None:
        """Archive ends in a thread from now on, if that is for this worker to do."""
        settings = self._registry.archive
        if settings is None or not self._options.archives:
            return None
        from stepflow.worker.archiving.rounds import archiver_of  # noqa: PLC0415  few apps have any

        archiver = archiver_of(self._address, self._env, settings)
        archiver.start()
        return archiver

    def _end_archiver(self, archiver: Archiver) -> None:
        """Have it leave; after a burst it archives first what waits. In a thread."""
        if self._options.burst:
            archiver.finish()
        else:
            archiver.leave()
        archiver.join()

    @staticmethod
    def _answer_if_blocked(parts: WorkerParts, connection: SyncCaller) -> None:
        """Answer in the place of a loop that does not turn; called in a thread."""
        if time.monotonic() - parts.state.turned_at > STILL_S:
            from stepflow.worker.now.answer import answer_blocked  # noqa: PLC0415  as above

            answer_blocked(parts.state, connection)

    def _say_ready(self) -> None:
        options = self._options
        self.ready.set()
        log.info(
            "worker %s listens to %s, concurrency %s",
            options.name,
            ", ".join(options.queues),
            options.concurrency,
        )

    async def _watch_loop(self, parts: WorkerParts) -> None:
        """Look for steps past their time, and for user code that blocks the loop."""
        loop, state = asyncio.get_running_loop(), parts.state
        while True:
            before = loop.time()
            await asyncio.sleep(SWEEP_S)
            state.turned_at = loop.time()
            lag_s = loop.time() - before - SWEEP_S
            state.is_lagging = lag_s > LAG_S and parts.live_workers > 1
            state.sweep()
            if state.stray_threads >= state.slots.size:
                log.error(
                    "all %s slots are kept by functions that were given up and do not return; "
                    "leaving",
                    state.slots.size,
                )
                self.is_stuck = True
                self.leave()

    async def _until_leaving(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """
        Wait until told to leave.

        A task that ends before, by a fault or cancelled by user code, ends the worker.
        """
        leaving = asyncio.ensure_future(self._leave.wait())
        await asyncio.wait({leaving, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        for task in tasks:
            if task.done():
                task.result()
        if not self._leave.is_set():
            raise asyncio.CancelledError  # of ours, by user code


def handle_message(message: str, state: WorkerState) -> None:
    """Take in what came over the worker's channel: a stop, a pause, a question, news."""
    try:
        told = ChannelMessage.read(message)
    except ValueError:
        log.warning("a message on this worker's channel says nothing: %.100r", message)
        return
    if told.queue:
        state.leave_queues({told.queue})
    elif told.lets_go:
        state.let_go(told.run_id)
    elif told.ask:
        from stepflow.worker.now.answer import answer  # noqa: PLC0415  few are ever asked

        answer(told.run_id, told.ask, state)
    elif told.stop is None:
        state.notify_inbox(told.run_id)
    else:
        state.stop(told.run_id, told.stop)


def facts_of(options: WorkerOptions) -> Mapping[str, Any]:
    """Give what `stepflow workers` shows of this process besides RQ's own fields."""
    return {"concurrency": options.concurrency, "pid": os.getpid()}


async def _end_processes() -> None:
    """End the child processes of this worker's loop, where any function was called in one."""
    pool = sys.modules.get("stepflow.engine.user_code.processes.pool")
    if pool is not None:
        await pool.end_processes()
