"""
The harness: one app with its worker and its server in the test's process.

The test moves the clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from stepflow.client import AsyncRunHandle, Client
from stepflow.core.run import RunStatus
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.calls import call as call_user_code
from stepflow.engine.user_code.lifespan import all_opened
from stepflow.engine.user_code.resources.resource import Resource
from stepflow.kits.app import Stepflow
from stepflow.kits.flow.replayer import check_history
from stepflow.store.clock import ManualClock
from stepflow.store.keys import Keys
from stepflow.store.query import earliest
from stepflow.testing.client import InProcessClient
from stepflow.testing.crashes import Crash
from stepflow.testing.errors import (
    HarnessNotBegun,
    HarnessStuck,
    MockNotUsed,
    NeverHappened,
    ReplayMismatch,
)
from stepflow.testing.hooks import HookSeen, Recorder, recording
from stepflow.testing.keeping import keeping
from stepflow.testing.mocks import Mock, find_mistyped
from stepflow.testing.models import ModelMocks
from stepflow.testing.server import FakeServer
from stepflow.testing.submits import Submits
from stepflow.testing.worker import HarnessWorker
from stepflow.times import seconds, unix_time
from stepflow.worker.threads import Threads

if TYPE_CHECKING:
    from stepflow.engine.schedules.info import ScheduleInfo

T = TypeVar("T")

#: where a harness's clock stands at first
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
#: turns of the loop without a move after which nothing will move: the longest way from one to the
#: next takes five
_QUIET_TURNS = 12
#: turns of waiting for user code before the loop is left to it for a while, and how long that is,
#: in seconds
_BUSY_TURNS, _BUSY_S = 50, 0.0005
#: how finely times are kept, in seconds
_TICK_S = 0.000_001

#: whether this code runs on behalf of the harness, which then goes on by itself
_inside: ContextVar[bool] = ContextVar("inside", default=False)


class Harness(Submits, ModelMocks):
    """
    Runs all of *app* in this process: workflows, runners, jobs and hooks.

    Use it as `async with Harness(app) as h:`. It has a fake server and a clock that stands still
    until you `advance` it. Each call first does its own work, then lets the runs go on until none
    can: they have ended, or wait for a time, a signal or a person. Functions of steps are really
    called, unless you `mock` them; the app's own clients reach the fake server meanwhile. Webhooks
    are not sent but listed in `hooks`. Terminal hooks of the app are called, and listed there, too.

    What has ended is kept until the harness ends, whatever the app's settings say and however far
    you move the clock. *now* is where the clock starts; *patience_s* is how long a step may run, in
    real seconds.
    """

    def __init__(self, app: Stepflow, *, now: datetime = BEGIN, patience_s: float = 10.0) -> None:
        self.app = app
        self.clock = ManualClock(unix_time(now, "now of the harness"))
        self.settings = keeping(app.settings)
        self.server = FakeServer()
        self.client = InProcessClient(self)
        #: the deliveries of hooks, in order
        self.hooks: list[HookSeen] = []
        #: the steps whose functions were called, or their mocks, by name and in order
        self.called: list[str] = []
        self._patience_s = patience_s
        self._mocks: list[Mock] = []
        #: the names of the steps whose own functions were called, in order
        self._called_for_real: dict[str, None] = {}
        self._fakes: dict[Resource[Any], Any] = {}
        self._crashes: list[Crash] = []
        self._running: dict[object, str] = {}
        self._asleep = 0
        self._lock = asyncio.Lock()
        self._env = Env(Keys(app.namespace), self.settings, self.clock)
        self._current_worker: HarnessWorker | None = None
        self._lifespans = AsyncExitStack()
        self._clients_before: tuple[Any, Any] = (None, None)

    async def __aenter__(self) -> Self:
        app = self.app
        self._clients_before = app._client, app._async_client  # noqa: SLF001  what tests alone may do
        blocking = Client(
            namespace=app.namespace,
            settings=self.settings,
            connection=self.server.connection,
            registry=app.registry,
        )
        blocking.env.clock = self.clock
        app._client, app._async_client = blocking, self.client  # noqa: SLF001  what tests alone may do
        self.client.has_begun = True
        enter = self._lifespans.enter_async_context
        try:
            await enter(all_opened(app.registry.lifespans))
            await enter(app.registry.resources.opened_when_used(self._fakes))
            await self._start_worker()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        await self._close()
        missing = [crash.name for crash in self._crashes if crash.left > 0]
        if kind is None and missing:
            raise NeverHappened(missing, self.called)
        mistyped = find_mistyped(self._mocks, self.called, self._called_for_real)
        if kind is None and mistyped:
            raise MockNotUsed(mistyped)

    async def _close(self) -> None:
        """End what has begun, and give the app its own clients back."""
        self.app._client, self.app._async_client = self._clients_before  # noqa: SLF001  what tests alone may do
        if self._current_worker is not None:
            await self._current_worker.end()
        await self._lifespans.aclose()
        self.server.close()

    # what a test does

    async def signal(
        self,
        run: str | AsyncRunHandle[Any],
        name: str,
        payload: Any = None,
        *,
        dedup: str | None = None,
        keep: Literal["all", "latest"] = "all",
        start: RunSpec | None = None,
    ) -> str:
        """Send a signal; see Client.signal."""
        return await self.client.signal(
            _id(run), name, payload, dedup=dedup, keep=keep, start=start
        )

    async def cancel(self, run: str | AsyncRunHandle[Any], reason: str = "") -> bool:
        """Cancel a run; see Client.cancel."""
        return await self.client.cancel(_id(run), reason)

    async def status(self, run: str | AsyncRunHandle[Any]) -> RunStatus:
        """Return a run's status; raises RunNotFound."""
        return await self.client._found(_id(run))  # noqa: SLF001  one house

    @overload
    async def result(self, run: AsyncRunHandle[T]) -> T: ...
    @overload
    async def result(self, run: str) -> Any: ...
    async def result(self, run: str | AsyncRunHandle[Any]) -> Any:
        """
        Return the result of a run that has succeeded.

        Raises RunFailed, RunCancelled, RunUnfinished for a run that waits, RunNotFound.
        """
        return await (self.client.result(run) if isinstance(run, str) else run.result())

    async def history(self, run: str | AsyncRunHandle[Any]) -> dict[str, Any]:
        """Return a run and its journal; see Client.history."""
        return await self.client.history(_id(run))

    async def replay(self, history: Mapping[str, Any]) -> None:
        """
        Replay a history against the app's code, without executing a step.

        Raises ReplayMismatch when they do not fit.
        """
        difference = await check_history(history, self.app.registry)
        if difference is not None:
            raise ReplayMismatch(history["run"]["id"], difference)

    async def schedules(self) -> Sequence[ScheduleInfo]:
        """Return the schedules, which fire while you `advance` the clock."""
        return await self.client.schedules.list()

    def now(self) -> datetime:
        """Return the time by the harness's clock, in UTC."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    async def advance(self, duration: float | timedelta) -> None:
        """
        Move the clock by *duration* (seconds or a timedelta).

        Whatever comes due on the way happens at its time, in order.
        """
        end = unix_time(
            self.clock.now() + seconds(duration, "the time to advance by"), "the end of the advance"
        )
        await self.settle()
        while (due := await self._next_due()) is not None and due <= end + _TICK_S:
            self._move_to(due)
            await self.settle()
        self._move_to(end)
        await self.settle()

    async def sleep(self, duration: float | timedelta) -> None:
        """
        Wait by the harness's clock, in functions and mocks of steps that take their time.

        Only `advance` ends the wait.
        """
        self._asleep += 1
        try:
            with suppress(TimeoutError):
                async with self.clock.timeout(seconds(duration, "the time of harness.sleep")):
                    await asyncio.get_running_loop().create_future()
        finally:
            self._asleep -= 1

    def mock(self, name: str, answer: Any = None, *, optional: bool = False) -> Mock:
        """
        Have steps called *name* (`read-*` stands for many) give *answer* without calling anything.

        *answer* is a value, an exception (raised, so the step's retry policy applies), or a
        function that is called with the step's arguments, `async def` or plain. The mock made last
        counts; its `calls` lists what it was asked.

        A mock whose name no step had, while the function of a step with almost that name was really
        called, fails the test at the end of the harness. One that is *optional* does not.
        """
        made = Mock(name, answer, optional=optional)
        self._mocks.insert(0, made)
        return made

    def resource(self, resource: Resource[Any], fake: object) -> None:
        """Have functions get *fake* for *resource*, which is then not set up."""
        self._fakes[resource] = fake

    def crash_after(self, name: str, *, written: bool = True, times: int = 1) -> None:
        """
        Have the worker die, as if killed, at the next step, batch, signal or sleep called *name*.

        Another takes over. It dies right after that was written into the journal; with *written*
        False after a step's function returned and before that was written, so the function is
        called again. From the second loss in a row on a run waits before it goes on: `advance`. A
        crash that never happened fails the test at the end of the harness.
        """
        self._crashes.append(Crash(name, written, times))

    # how it goes on

    @property
    def is_settling(self) -> bool:
        """Whether runs are going on right now."""
        return self._lock.locked()

    async def settle(self) -> None:
        """Let the runs go on until none can, as every call of the harness and its client does."""
        if not self.client.has_begun:
            raise HarnessNotBegun
        if _inside.get() or self._current_worker is None:
            return
        async with self._lock:
            token = _inside.set(True)
            try:
                await self._go_on()
            finally:
                _inside.reset(token)

    async def _go_on(self) -> None:
        await self._worker.round()
        connection, quiet, busy, count, moves = self.server.connection, 0, 0, -1, -1
        progress, until = (-1, -1), 0.0
        while quiet < _QUIET_TURNS:
            worker = self._worker
            worker.read_channel()
            if worker.connection.is_cut:
                await self._take_over(worker)
            if connection.moves != moves:
                await self._worker.work()
                moves = connection.moves
            # what only looks, as a step that waits for another run does, is no progress
            if (moves, len(self.called)) != progress:
                progress, busy = (moves, len(self.called)), 0
                until = time.monotonic() + self._patience_s
            if connection.count != count:
                count, quiet = connection.count, 0
            elif self._is_busy(worker):
                quiet, busy = 0, busy + 1
                worker.sweep()
                if time.monotonic() > until:
                    raise HarnessStuck(
                        self._patience_s, [*self._running.values()] or worker.busy_with()
                    )
            else:
                quiet += 1
            await asyncio.sleep(0 if busy < _BUSY_TURNS else _BUSY_S)

    def _is_busy(self, worker: HarnessWorker) -> bool:
        return len(self._running) + worker.busy > self._asleep

    async def _start_worker(self) -> None:
        """Start a worker."""
        deliver = self.app.delivering(Recorder(self.hooks))
        registry = recording(self.app.registry, self.hooks)
        worker = self._current_worker = HarnessWorker(
            self.server,
            self._env,
            registry,
            crashes=self._crashes,
            deliver=deliver,
            call_function=self._call_step,
        )
        await worker.begin()

    async def _call_step(
        self,
        run_id: str,
        name: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        threads: Threads,
    ) -> Any:
        """Call the function of a step, or the mock that stands for it."""
        self.called.append(name)
        mark = object()
        self._running[mark] = f"step {name!r} of run {run_id!r}"
        try:
            mock = next((mock for mock in self._mocks if mock.stands_for(name)), None)
            if mock is not None:
                return await call_user_code(mock.call, (args, kwargs), {}, threads)
            self._called_for_real[name] = None
            return await call_user_code(function, args, kwargs, threads)
        finally:
            del self._running[mark]

    async def _take_over(self, gone: HarnessWorker) -> None:
        """Have another worker begin where one is gone, and hand over what that one had claimed."""
        await gone.end()
        await self._start_worker()
        await self._worker.recover(gone.name)

    @property
    def _worker(self) -> HarnessWorker:
        assert self._current_worker is not None, (
            "use the harness as `async with Harness(app) as h:`"
        )
        return self._current_worker

    async def _next_due(self) -> float | None:
        """Say when the next thing comes due: a run, a hook, a deadline, or a wait in place."""
        keys, now = self._env.keys, self.clock.now()
        found = [
            *self.server.connection.calls([earliest(keys.due), earliest(keys.deadlines)]),
            self.clock.next_limit,
        ]
        return min((due for due in found if due is not None and due > now), default=None)

    def _move_to(self, moment: float) -> None:
        self.clock.advance(round(max(moment, self.clock.now()), 6) - self.clock.now())


def _id(run: str | AsyncRunHandle[Any]) -> str:
    return run if isinstance(run, str) else run.id
