"""
The async link: one connection. An idle server is sent a call at once, a busy one what waits in a few writes per turn.

A hundred concurrent steps cost a few round trips, not a hundred. After a lost connection it connects again by itself, with
growing waits, and re-sends what may arrive twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from tenacity import RetryCallState, wait_exponential, wait_random

from stepflow.errors import RedisUnreachable, ReplyLost, StepflowError, UsageError
from stepflow.store.address import Address
from stepflow.store.calls import Call, Plan
from stepflow.store.link import refusal_of
from stepflow.store.resp import ReplyError, pack
from stepflow.store.scripts import all_scripts
from stepflow.store.wire import Wire

T = TypeVar("T")

log = logging.getLogger("stepflow.link")

#: seconds between looks for a connection that gave no reply for too long
_SWEEP_S = 1.0
#: calls that are sent before the turn of the loop is over: the server works on them while the turn goes on
_EARLY = 16


class Streaming(Protocol):
    """What carries out calls on the loop: the async link, or the fake server's stand-in."""

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Put *call* into the next write; the future has its answer."""

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one write, in order."""


async def carry_out(link: Streaming, plan: Plan[T]) -> T:
    """Carry out a plan over an async link."""
    answer: Any = None
    try:
        while True:
            step = plan.send(answer)
            answer = await link.calls(step) if isinstance(step, list) else await link.call(step)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


_Waiting = tuple[Call[Any], "asyncio.Future[Any]"]


class AsyncLink:
    """
    Carries out calls on the running loop.

    *retry_for_s* None keeps trying for ever (workers); else a call fails with RedisUnreachable once there has been no
    connection for that long. *open_for_s* is the same for the first connection, *retry_for_s* unless given.
    *reply_timeout_s* without any reply breaks the connection; None for blocking commands.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str | None = None,
        retry_for_s: float | None = None,
        open_for_s: float | None = None,
        reply_timeout_s: float | None = 30.0,
        connect_timeout_s: float = 5.0,
    ) -> None:
        self._address = address
        self._name = name
        self._retry_for_s = retry_for_s
        self._open_for_s = (retry_for_s or 0.0) if open_for_s is None else open_for_s
        self._reply_timeout_s = reply_timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._queue: deque[_Waiting] = deque()
        self._inflight: deque[_Waiting] = deque()
        self._wire: Wire | None = None
        self._flushing = False
        self._closed = False
        self._last_reply = 0.0
        self._connecting: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        #: called after each connection that follows a lost one
        self.on_reconnect: Callable[[], None] | None = None

    async def open(self) -> None:
        """Connect; raises RedisUnreachable when that takes longer than *open_for_s*."""
        self._start_connecting(first=True)
        assert self._connecting is not None
        await self._connecting

    async def close(self) -> None:
        """Drop the connection; calls still waiting fail."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.abort()
        self._wire = None
        self._fail_all(RedisUnreachable(self._address.shown, "the link was closed"))

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Put *call* into the next write; the future has its answer."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(RedisUnreachable(self._address.shown, "the link was closed"))
            return future
        self._queue.append((call, future))
        if len(self._queue) >= _EARLY or not self._inflight:
            self._flush()
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return future

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return await self.send(call)

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one write, in order."""
        return list(await asyncio.gather(*[self.send(call) for call in calls]))

    def _flush(self) -> None:
        self._flushing = False
        if self._wire is None or not self._queue:
            if self._queue and (self._connecting is None or self._connecting.done()):
                self._start_connecting(first=False)
            return
        parts = []
        if not self._inflight:
            self._last_reply = self._loop.time()
        while self._queue:
            waiting = self._queue.popleft()
            if waiting[1].done():
                continue
            try:
                parts.append(pack(waiting[0].command()))
            except (TypeError, UsageError) as error:  # it alone is not sent
                waiting[1].set_exception(error)
                continue
            self._inflight.append(waiting)
        assert self._wire.transport is not None
        self._wire.transport.write(b"".join(parts))

    def _on_reply(self, owed: deque[_Waiting], reply: Any) -> None:
        self._last_reply = self._loop.time()
        call, future = owed.popleft()
        if isinstance(reply, ReplyError):
            self._on_error(call, future, reply)
            return
        if future.done():
            return
        try:
            future.set_result(call.read(reply))
        except Exception as error:  # noqa: BLE001  a reply that cannot be read is the caller's to hear of
            future.set_exception(error)

    def _on_error(self, call: Call[Any], future: asyncio.Future[Any], error: ReplyError) -> None:
        if future.done():
            return
        if str(error).startswith("NOSCRIPT"):
            self._load_scripts()
            self._queue.append((call, future))
            self._flush()
            return
        future.set_exception(refusal_of(str(error)))

    def _load_scripts(self) -> None:
        assert self._wire is not None
        assert self._wire.transport is not None
        for script in all_scripts():
            done = self._loop.create_future()
            done.add_done_callback(lambda ended: ended.exception())
            load: Call[Any] = Call(None, (), ("SCRIPT", "LOAD", script.text), lambda reply: reply)
            self._inflight.append((load, done))
            self._wire.transport.write(pack(load.command()))

    def _on_lost(self, owed: deque[_Waiting], wire: Wire, error: Exception | None) -> None:
        """Take leave of a connection, live or still being greeted: what it owes goes over the next, where it may."""
        for call, future in reversed(owed):
            if call.resend:
                self._queue.appendleft((call, future))
            elif not future.done():
                future.set_exception(ReplyLost(call.name))
        owed.clear()
        if wire is not self._wire:
            return
        self._wire = None
        if self._closed:
            return
        log.warning("lost the connection to Redis at %s (%s); connecting again", self._address.shown, error or "closed")
        self._start_connecting(first=False)

    def _start_connecting(self, *, first: bool) -> None:
        self._connecting = self._loop.create_task(self._connect(first=first))
        if not first:
            self._connecting.add_done_callback(lambda task: None if task.cancelled() else task.exception())

    async def _connect(self, *, first: bool) -> None:
        wait, began = wait_exponential(multiplier=0.05, max=2.0) + wait_random(0, 0.05), self._loop.time()
        for number in range(1, 1_000_000):
            try:
                await asyncio.wait_for(self._connect_once(), self._connect_timeout_s)
            except (TimeoutError, OSError, StepflowError) as error:
                limit_s = self._open_for_s if first else self._retry_for_s
                if limit_s is not None and self._loop.time() - began >= limit_s:
                    problem = RedisUnreachable(self._address.shown, str(error) or type(error).__name__)
                    self._fail_all(problem)
                    raise problem from None
                state = RetryCallState(cast("Any", None), None, (), {})
                state.attempt_number = number
                await asyncio.sleep(wait(state))
                continue
            if not first and self.on_reconnect is not None:
                self.on_reconnect()
            return

    async def _connect_once(self) -> None:
        """
        Make a connection and greet the server; only then is it the link's, and other calls go over it.

        Each connection has its own list of what it owes: replies never meet the calls of another.
        """
        owed: deque[_Waiting] = deque()
        wire = Wire(partial(self._on_reply, owed), partial(self._on_lost, owed))
        address = self._address
        if address.path is not None:
            await self._loop.create_unix_connection(lambda: wire, address.path)
        else:
            await self._loop.create_connection(lambda: wire, address.host, address.port, ssl=address.ssl_context())
        assert wire.transport is not None
        hello = [*address.handshake(self._name), *(("SCRIPT", "LOAD", script.text) for script in all_scripts())]
        greetings = [self._loop.create_future() for _ in hello]
        owed += [
            (Call(None, (), parts, lambda reply: reply, resend=False), greeting)
            for parts, greeting in zip(hello, greetings, strict=True)
        ]
        try:
            wire.transport.write(b"".join(pack(parts) for parts in hello))
            await asyncio.gather(*greetings)
        except BaseException:
            wire.transport.abort()
            raise
        if wire.transport.is_closing():
            raise ConnectionError("the connection was lost while it was made")
        self._wire, self._inflight = wire, owed
        if self._reply_timeout_s is not None and self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        if self._queue:
            self._flush()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        assert self._reply_timeout_s is not None
        silent_s = self._loop.time() - self._last_reply
        if self._wire is None or self._wire.transport is None:
            return
        if self._inflight and silent_s > self._reply_timeout_s:
            log.warning("no reply from Redis at %s for %.0f s; connecting again", self._address.shown, silent_s)
            self._wire.transport.abort()
        elif not self._inflight and silent_s > self._reply_timeout_s:
            self.send(Call(None, (), ("PING",), lambda reply: reply)).add_done_callback(lambda ping: ping.exception())

    def _fail_all(self, error: StepflowError) -> None:
        for waiting in (*self._inflight, *self._queue):
            if not waiting[1].done():
                waiting[1].set_exception(error)
        self._inflight.clear()
        self._queue.clear()
