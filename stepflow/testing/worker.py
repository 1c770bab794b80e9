"""
The harness's worker: a real one's parts, without connections, threads and timers.

It works when it is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.hooks.schedule import next_wait_s
from stepflow.store.connection.async_ import AsyncConnection, carry_out
from stepflow.store.keys import RQ_QUEUES
from stepflow.store.maintenance import move_due
from stepflow.store.query import members
from stepflow.testing.crashes import Crash, CrashingConnection
from stepflow.testing.server import FakeServer
from stepflow.worker.notify import Deliver
from stepflow.worker.parts import WorkerParts
from stepflow.worker.recover import recover_worker
from stepflow.worker.state import CallFunction, WorkerState
from stepflow.worker.worker import handle_message, new_worker_name

#: runs claimed at once, far more than a test has
_SLOTS = 10_000


class HarnessWorker:
    """One worker's life, from its start to its crash or to the end of the test."""

    def __init__(
        self,
        server: FakeServer,
        env: Env,
        registry: Registry,
        *,
        crashes: Sequence[Crash],
        deliver: Deliver,
        call_function: CallFunction,
    ) -> None:
        self.name = new_worker_name()
        self.connection = CrashingConnection(server.connection, crashes)
        self._env = env
        connection = cast("AsyncConnection", self.connection)
        self._parts = WorkerParts(
            env,
            registry,
            name=self.name,
            queues=["default"],
            concurrency=_SLOTS,
            main=connection,
            wakes=[connection, connection],
            renewing=server.connection,
            deliver=deliver,
            next_wait=next_wait_s,
            call_function=call_function,
            has_timer=False,  # the test moves the clock
        )
        self._channel = server.client.pubsub(ignore_subscribe_messages=True)
        self._channel.subscribe(env.keys.tell_channel(self.name))

    @property
    def state(self) -> WorkerState:
        """The runs it has claimed and what it works with."""
        return self._parts.state

    async def begin(self) -> None:
        """Do what a worker does at its start."""
        await self._parts.announce()

    @property
    def busy(self) -> int:
        """How much is in progress that waits neither for a time nor for its inbox."""
        return self._parts.notifier.slots.used + len(self._busy_runs()) + self.state.offloading

    def busy_with(self) -> list[str]:
        """Name the runs in progress that wait neither for a time nor for their inbox."""
        busy = [f"run {run.id!r} of runner {run.runner!r}" for run in self._busy_runs()]
        return busy or ["a terminal hook"]

    def _busy_runs(self) -> list[Run]:
        return [
            claimed.run
            for claimed in self.state.runs.values()
            if not claimed.inbox_watch.is_waiting
        ]

    async def round(self) -> None:
        """Do what a worker does once a second, and what its renewing thread does."""
        self._parts.renewer.renew()
        await self._serve_all_queues()
        await self._parts.maintenance.go()
        await self._parts.reporter.send()

    async def work(self) -> None:
        """Move what is due into its queue and begin with all that waits there."""
        env, moved = self._env, 1
        while moved:
            call = move_due(env.keys, given=env.clock.given, now=env.clock.now())
            look = await self.connection.call(call)
            moved = look.moved
            await self._parts.schedules.fire(look.schedules)
            await self._parts.groups.carry(look.groups)
            if look.lines:
                await self._parts.limits.call_due(look.lines)
                moved = 1  # once more: whose turn has come may stand in a queue now
        await self._serve_all_queues()
        for fetcher in self._parts.fetchers:
            while (await fetcher.claim()).taken:
                pass

    async def _serve_all_queues(self) -> None:
        keys = self._env.keys
        names = [
            name.removeprefix(keys.rq_list(""))
            for name in await self.connection.call(members(RQ_QUEUES))
        ]
        queues = [keys.split_queue(name)[0] for name in names if name != keys.hook_queue]
        self._parts.serve(sorted(set(queues)) or ["default"], names)

    def read_channel(self) -> None:
        """Take in what came over the worker's channel: stops, and news in runs' inboxes."""
        while (message := self._channel.get_message(timeout=0)) is not None:
            handle_message(message["data"].decode(), self.state)

    def sweep(self) -> None:
        """Look for steps past their time."""
        self.state.sweep()

    async def recover(self, name: str) -> None:
        """Hand over what a worker that is gone had claimed, as a supervisor does."""
        await carry_out(self.connection, recover_worker(name, self._env))

    async def end(self) -> None:
        """Be gone: nothing in progress goes on, nothing of it is written."""
        self.connection.is_cut = True
        self.state.end()
        tasks: list[asyncio.Task[Any]] = [
            claimed.task for claimed in self.state.runs.values() if claimed.task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._parts.notifier.leave(0.0)
        self._parts.maintenance.stop()
        self._channel.close()
