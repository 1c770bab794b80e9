"""
The worker of a harness: the real one's parts, without connections, threads and timers.

It works when it is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.hooks.schedule import next_wait_s
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection, carry_out
from stepflow.store.keys import RQ_QUEUES
from stepflow.store.maintenance import move_due
from stepflow.store.query import members
from stepflow.testing.crashes import Crash, CrashingConnection
from stepflow.testing.server import FakeServer
from stepflow.worker.notify import Deliver
from stepflow.worker.recover import recover_worker
from stepflow.worker.renew import Renewer
from stepflow.worker.state import WorkerState, ignore
from stepflow.worker.worker import Worker, WorkerOptions, hear

#: runs held at once, far more than a test has
_SLOTS = 10_000


class HarnessWorker(Worker):
    """One worker's life, from its start to its crash or to the end of the test."""

    def __init__(
        self,
        server: FakeServer,
        env: Env,
        registry: Registry,
        crashes: Sequence[Crash],
        deliver: Deliver,
    ) -> None:
        nowhere = Address.parse("redis://in-this-process")
        options = WorkerOptions(concurrency=_SLOTS)
        super().__init__(nowhere, env, registry, options, deliver=deliver, next_wait=next_wait_s)
        self.name = options.name
        self.line = CrashingConnection(server.link, crashes)
        self._link = cast("AsyncConnection", self.line)
        self.held: WorkerState = self._make_worker_state(self._link)
        self.worker_state = self.held
        self._maintenance = self._make_maintenance(self.held, self._link)
        self._notifier = self._make_notifier(self.held, self._maintenance, self._link)
        self._renewer = Renewer(self.held, server.link)
        self._renewer.others = self._notifier.claims
        self._news = server.client.pubsub(ignore_subscribe_messages=True)
        self._news.subscribe(env.keys.tell_channel(self.name))

    async def begin(self) -> None:
        """Do what a worker does at its start."""
        await self._announce(self._link)

    @property
    def busy(self) -> int:
        """How much is in hand that waits neither for a time nor for news."""
        return self._notifier.slots.used + sum(
            not claimed.is_waiting for claimed in self.held.runs.values()
        )

    def busy_with(self) -> list[str]:
        """Name the runs in hand that wait neither for a time nor for news."""
        busy = [claimed.run for claimed in self.held.runs.values() if not claimed.is_waiting]
        return [f"run {run.id!r} of runner {run.runner!r}" for run in busy] or ["a terminal hook"]

    async def round(self) -> None:
        """Do what a worker does once a second, and what its renewing thread does."""
        self._renewer.renew()
        await self._read_queues()
        self._maintenance = self._make_maintenance(self.held, self._link)
        self._maintenance.note_due = ignore  # type: ignore[method-assign]  # no timer: the harness moves the clock
        await self._maintenance.go()

    async def work(self) -> None:
        """Move what is due into its queue and take all that waits there in hand."""
        env, moved = self._env, 1
        while moved:
            moved = (
                await self._link.call(
                    move_due(env.keys, given=env.clock.given, now=env.clock.now())
                )
            ).moved
        await self._read_queues()
        fetchers = self._make_fetchers(
            self.held, self._notifier, self._link, [self._link, self._link], self._maintenance
        )
        for fetcher in fetchers:
            while (await fetcher.claim()).taken:
                pass

    async def _read_queues(self) -> None:
        """Serve every queue that there is."""
        keys = self._env.keys
        names = [
            name.removeprefix(keys.rq_list(""))
            for name in await self._link.call(members(RQ_QUEUES))
        ]
        queues = [keys.split_queue(name)[0] for name in names if name != keys.hook_queue]
        self._options.queues = sorted(set(queues)) or ["default"]

    def hear(self) -> None:
        """
        Take in what was said on this worker's channel.

        Stops, and news for runs that it holds.
        """
        while (message := self._news.get_message(timeout=0)) is not None:
            hear(self.held, message["data"].decode())

    def sweep(self) -> None:
        """Look for steps past their time."""
        self.held.sweep()

    async def recover(self, name: str) -> None:
        """Take up what a worker that is gone had in hand, as a supervisor does."""
        await carry_out(self._link, recover_worker(name, self._env))

    async def end(self) -> None:
        """Be gone: nothing in hand goes on, nothing of it is written."""
        self.line.is_cut = True
        self.held.end()
        tasks: list[asyncio.Task[Any]] = [
            claimed.task for claimed in self.held.runs.values() if claimed.task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._notifier.leave(0.0)
        self._maintenance.stop()
        self._news.close()
