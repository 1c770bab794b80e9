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

from stepflow.engine.env import Desk
from stepflow.engine.outbox import app_hooks
from stepflow.engine.registry import Registry
from stepflow.store.claims import Source, source_of, sources_of
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncLink, carry_out
from stepflow.store.hooks import ANYONE
from stepflow.store.maintenance import Look
from stepflow.store.run_hash import read_stop
from stepflow.store.server_check import check_format
from stepflow.worker.adopt import adopt
from stepflow.worker.announce import announce
from stepflow.worker.connections import Links
from stepflow.worker.drive import begin
from stepflow.worker.fetcher import Burst, Feed
from stepflow.worker.maintenance import Rounds
from stepflow.worker.notify import Deliver, NextWait, Notifier
from stepflow.worker.renew import Beating, Renewer
from stepflow.worker.shutdown import way_out
from stepflow.worker.state import Shift

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

    `run` returns when it was told to leave, or with `burst` when the queues are empty. *on_blocked* ends a process whose
    loop user code blocks for good, called on the renewing thread; *beat* writes RQ's signs of life, on a thread of its own.
    """

    def __init__(
        self,
        address: Address,
        desk: Desk,
        registry: Registry,
        options: WorkerOptions,
        *,
        deliver: Deliver,
        next_wait: NextWait,
        beat: Callable[[], None] | None = None,
        on_blocked: Callable[[], None] | None = None,
    ) -> None:
        self._address = address
        self._desk = desk
        self._registry = registry
        self._options = options
        self._deliver = deliver
        self._next_wait = next_wait
        self._beat = beat
        self._on_blocked = on_blocked
        self._leave = asyncio.Event()
        self._feeds: list[Feed] = []
        self._suspended = False
        self._live_workers = 1
        self.shift: Shift | None = None
        #: set once claims are being taken
        self.ready = asyncio.Event()
        #: whether the worker left because functions that do not return took all its slots
        self.stuck = False

    @property
    def is_busy(self) -> bool:
        """Whether a run is held right now."""
        return self.shift is not None and bool(self.shift.holds)

    @property
    def in_hand(self) -> list[str]:
        """Name the runs that are held right now."""
        return [] if self.shift is None else [f"run={hold.run.id}" for hold in list(self.shift.holds.values())]

    def leave(self) -> None:
        """Begin to leave: no more claims, running steps may finish. Called on the loop."""
        self._leave.set()

    async def run(self) -> None:
        """Work until told to leave."""
        async with AsyncExitStack() as stack:
            links = await stack.enter_async_context(Links(self._address, self._options.name, self._desk.settings))
            shift = self.shift = self._make_shift(links.main)
            stack.callback(shift.end)
            await carry_out(links.main, check_format(self._desk.keys))
            await self._announce(links.main)
            rounds = self._make_rounds(shift, links.main)
            stack.callback(rounds.stop)
            shift.on_due = rounds.note_due
            notifier = self._make_notifier(shift, rounds, links.main)
            self._feeds = self._make_feeds(shift, notifier, links.main, links.wakes, rounds)
            tasks: list[asyncio.Task[Any]] = []
            stack.push_async_callback(_end_all, tasks)

            def reconnected() -> None:
                rounds.note_reconnect()
                tasks.append(asyncio.ensure_future(self._adopt(shift, notifier, links.main)))

            links.main.on_reconnect = reconnected
            channel = self._desk.keys.tell_channel(self._options.name)
            await links.listener.subscribe(channel, lambda message: hear(shift, message))
            await rounds.go_safely()
            renewer = Renewer(shift, links.renewing, on_blocked=self._on_blocked, on_refused=rounds.note_outage)
            renewer.others = notifier.claims
            stack.callback(renewer.stop)
            renewer.start()
            if self._beat is not None:
                stack.enter_context(Beating(self._beat))
            feeding = [asyncio.ensure_future(feed.run()) for feed in self._feeds]
            watching = [asyncio.ensure_future(work) for work in (rounds.run(), self._sweep(shift))]
            tasks += [*feeding, *watching]
            self._say_ready()
            await self._until_leaving(shift, notifier, [*feeding, *watching])
            for feed in self._feeds:
                feed.leave()
            await way_out(shift, notifier, rounds, feeding, is_stuck=self.stuck)

    def _say_ready(self) -> None:
        options = self._options
        self.ready.set()
        log.info(
            "worker %s listens to %s, concurrency %s", options.name, ", ".join(options.queues), options.concurrency
        )

    def _make_shift(self, link: AsyncLink) -> Shift:
        options = self._options
        return Shift(
            options.name, self._desk, self._registry, link,
            concurrency=options.concurrency, queues=options.queues, app_hooks=app_hooks(self._registry),
        )  # fmt: skip

    def _make_notifier(self, shift: Shift, rounds: Rounds, link: AsyncLink) -> Notifier:
        return Notifier(
            self._desk, link, self._registry,
            deliver=self._deliver, next_wait=self._next_wait, threads=shift.threads, on_due=rounds.note_due,
        )  # fmt: skip

    def _make_rounds(self, shift: Shift, link: AsyncLink) -> Rounds:
        sources = [source for queue in self._options.queues for source in sources_of(self._desk.keys, queue)]
        serves: dict[str, Collection[str]] = {source.rq_queue: self._registry.runners for source in sources}
        serves[self._desk.keys.hook_queue] = [*self._registry.names, ANYONE]  # hooks know no versions
        return Rounds(
            self._desk, link, worker=self._options.name, sources=[*sources, self._hook_source()], queues=self._options.queues,
            serves=serves, versions=self._registry.versioned, on_look=lambda look, extra: self._heed(shift, look, extra),
            announce=lambda: self._announce(link),
        )  # fmt: skip

    def _hook_source(self) -> Source:
        keys = self._desk.keys
        return source_of(keys, keys.hook_queue, keys.wake(keys.hook_queue))

    def _make_feeds(
        self, shift: Shift, notifier: Notifier, link: AsyncLink, wakes: Sequence[AsyncLink], rounds: Rounds
    ) -> list[Feed]:
        def feed(wake: AsyncLink, sources: list[Source], runners: list[str], slots: Any, start: Any) -> Feed:
            return Feed(
                self._desk, link, wake, worker=self._options.name, slots=slots, sources=sources, runners=runners,
                numbers=shift.take_numbers, start=start, adopt=lambda: self._adopt(shift, notifier, link),
                on_due=rounds.note_due,
            )  # fmt: skip

        runners = list(self._registry.runners)
        steps = [source for queue in self._options.queues for source in sources_of(self._desk.keys, queue)]
        return [
            feed(wakes[0], steps, runners, shift.slots, lambda taken: begin(taken, shift)),
            feed(wakes[1], [self._hook_source()], [*self._registry.names, ANYONE], notifier.slots, notifier.start),
        ]

    async def _announce(self, link: AsyncLink) -> None:
        """Say what a worker says once at its start, and again should Redis forget it."""
        await carry_out(link, announce(self._registry, self._desk))

    def _heed(self, shift: Shift, look: Look, extra: list[Source]) -> None:
        """Take from a round what changes how this worker works."""
        if look.suspended != self._suspended:
            log.info("RQ is %s: %s", *(("suspended", "holding") if look.suspended else ("resumed", "going on")))
        self._suspended = look.suspended
        self._live_workers = look.live_workers
        for feed in self._feeds:
            feed.live_workers = look.live_workers
        if self._feeds:
            hook_queue = self._desk.keys.hook_queue
            self._feeds[0].offer([source for source in extra if source.rq_queue != hook_queue])
            self._feeds[1].offer([source for source in extra if source.rq_queue == hook_queue])
        shift.must_let_go = self._suspended or self._leave.is_set()

    async def _sweep(self, shift: Shift) -> None:
        """Look for steps past their time, and for a loop that user code holds up."""
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(SWEEP_S)
            shift.turned_at = loop.time()
            lag_s = loop.time() - before - SWEEP_S
            lags = lag_s > LAG_S and self._live_workers > 1
            shift.must_let_go = self._suspended or self._leave.is_set() or lags
            shift.sweep()
            if shift.stray_threads >= shift.slots.size:
                log.error(
                    "all %s slots are kept by functions that were given up and do not return; leaving", shift.slots.size
                )
                self.stuck = True
                self._leave.set()

    async def _until_leaving(self, shift: Shift, notifier: Notifier, parts: Sequence[asyncio.Task[None]]) -> None:
        """Wait until told to leave; a part that ends before, by a fault or cancelled by user code, ends the worker."""
        if self._options.burst:
            Burst(self._feeds, is_busy=lambda: bool(shift.slots.used or notifier.slots.used), leave=self.leave)
        leaving = asyncio.ensure_future(self._leave.wait())
        await asyncio.wait({leaving, *parts}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        for part in parts:
            if part.done():
                part.result()
        if not self._leave.is_set():
            raise asyncio.CancelledError  # of ours, by user code

    async def _adopt(self, shift: Shift, notifier: Notifier, link: AsyncLink) -> None:
        """Take up the claims that stand under this worker's name and that it does not know: their reply was lost."""
        await adopt(self._options.name, shift, notifier, link)


def hear(shift: Shift, message: str) -> None:
    """Take in what was said on the worker's channel: a stop, or news for a run that it holds."""
    run_id, _, what = message.partition("|")
    if what.startswith("inbox"):
        shift.hear_news(run_id)
        return
    try:
        stop = read_stop(what.encode())
    except ValueError:
        log.warning("a message on this worker's channel says nothing: %.100r", message)
    else:
        shift.hear(run_id, stop)


def describe(options: WorkerOptions) -> Mapping[str, Any]:
    """Give what `stepflow workers` shows of this process besides RQ's own fields."""
    return {"concurrency": options.concurrency, "pid": os.getpid()}
