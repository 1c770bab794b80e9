"""
The client of a harness: after each call the runs go on until none can.

So a test never waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol, TypeVar

from stepflow.client import AsyncClient
from stepflow.client.following import Reader
from stepflow.core.run import RunStatus
from stepflow.errors import stands
from stepflow.kits.app import Stepflow
from stepflow.settings import Settings
from stepflow.store.calls import Plan
from stepflow.store.clock import ManualClock
from stepflow.store.durability.level import Durability
from stepflow.testing.connection import FakeConnection
from stepflow.testing.errors import HarnessNotBegun, RunUnfinished
from stepflow.testing.server import FakeServer
from stepflow.times import seconds

T = TypeVar("T")
E = TypeVar("E")

#: seconds between two looks of a step that waits for another run
_LOOK_S = 0.001


class Settling(Protocol):
    """The harness, as its client sees it."""

    app: Stepflow
    settings: Settings
    clock: ManualClock
    server: FakeServer

    @property
    def is_settling(self) -> bool:
        """Whether runs are going on right now."""

    async def settle(self) -> None:
        """Let the runs go on until none can."""


class InProcessClient(AsyncClient):
    """
    An AsyncClient of the harness's fake server.

    `wait` and `result` never wait: a run that has not ended by now cannot end by itself.
    """

    def __init__(self, harness: Settling) -> None:
        app = harness.app
        connection = FakeConnection(harness.server.connection)
        super().__init__(
            namespace=app.namespace,
            settings=harness.settings,
            connection=connection,
            registry=app.registry,
        )
        self.env.clock = harness.clock
        self._harness = harness
        #: whether its harness was entered
        self.has_begun = False

    async def _do(self, plan: Plan[T], durability: Durability | None = None) -> T:
        if not self.has_begun:
            plan.close()
            raise HarnessNotBegun
        answer = await super()._do(plan, durability)
        await self._harness.settle()
        return answer

    async def _do_aside(self, plan: Plan[T], durability: Durability | None = None) -> T:
        return await self._do(plan, durability)

    async def _follow(self, reader: Reader[E], *, live: bool) -> AsyncIterator[E]:
        """Give what a reader finds; raises RunUnfinished where a live one would wait for ever."""
        while True:
            events = await self._do(reader.look())
            for event in events:
                yield event
            if reader.is_over or not (live or reader.has_more):
                return
            if not (events or reader.has_more or self._harness.is_settling):
                run = await self._found(reader.run_id)
                raise RunUnfinished(run.id, run.waits_for or f"it {stands(run.state)}")
            await asyncio.sleep(_LOOK_S)

    async def wait(self, run_id: str, timeout: float | timedelta | None = None) -> RunStatus:
        """
        Return the status of a run that has ended.

        Raises RunUnfinished for one that waits for something, RunNotFound for an unknown one.
        """
        if timeout is not None:
            seconds(timeout, "timeout of wait")
        while not (run := await self._found(run_id)).is_finished:
            if not self._harness.is_settling:
                raise RunUnfinished(run_id, run.waits_for or f"it {stands(run.state)}")
            await asyncio.sleep(_LOOK_S)  # a step of some run that waits for another
        return run
