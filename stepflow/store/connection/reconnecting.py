"""
One connection of the loop that is kept.

Made, made again after it was lost, replaced when it is dead, left when refused.

One that is silent while a fresh one answers is dead: bytes may vanish with nobody hanging up. A
server that says it is not the one to write to is left, and what it refused is sent to the one that
is found in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from stepflow.errors import RedisRefused, RedisUnreachable, ReplyLost, StepflowError
from stepflow.store.calls import Call
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.error_replies import may_pass, refuse_errors
from stepflow.store.connection.outage import Outage, Waiting
from stepflow.store.connection.protocol import Wire, open_wire
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.retry_waits import growing_waits, warn_rarely
from stepflow.store.connection.sentinel import distrust
from stepflow.store.scripts import all_scripts

T = TypeVar("T")

log = logging.getLogger("stepflow.link")

#: seconds between looks for a connection that is silent, and for calls whose time is over
_SWEEP_S = 0.5
#: seconds between looks whether a server that is left has answered what it owes
_DRAIN_S = 0.01


def _message_of(error: Exception) -> str:
    return redacted(str(error)) or type(error).__name__


class Reconnecting:
    """
    A connection that is kept, and the calls that wait for it or for an answer over it.

    What is sent, and what an answer means, is for the class that derives from it.
    """

    def __init__(
        self,
        address: Address,
        *,
        name: str | None = None,
        retry_for_s: float | None = None,
        open_for_s: float | None = None,
        reply_timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._address = address
        self._name = name
        self._retry_for_s = retry_for_s
        self._open_for_s = (retry_for_s or 0.0) if open_for_s is None else open_for_s
        self._reply_timeout_s = (
            address.times.reply_s if reply_timeout_s is None else reply_timeout_s
        )
        self._patience_s = min(patience_s, self._reply_timeout_s)
        self._queue: deque[Waiting] = deque()
        self._inflight: deque[Waiting] = deque()
        self._wire: Wire | None = None
        self._flushing = False
        self._closed = False
        self._outage = Outage()
        self._connecting: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._look_at = 0.0
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._seen: dict[asyncio.Future[Any], float] = {}
        #: called after each connection that follows a lost one
        self.on_reconnect: Callable[[], None] | None = None
        #: called when a connection turned out to be dead although nobody hung up: others may be
        self.on_silent: Callable[[], None] | None = None

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Put *call* into the next write; the future has its answer."""
        raise NotImplementedError

    def _flush(self) -> None:
        """Send what waits, or have a connection made for it."""
        raise NotImplementedError

    def _on_reply(self, owed: deque[Waiting], reply: Any) -> None:
        """Take in a reply to the first call of *owed*."""
        raise NotImplementedError

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
        tasks = [
            task
            for task in (self._connecting, self._replacing)
            if task is not None and not task.done()
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for wire in (self._wire, self._outage.wire):
            if wire is not None:
                wire.abort()
        self._wire = None
        self._fail_all(RedisUnreachable(self._address.shown, "the connection was closed"))

    def renew(self) -> None:
        """
        Go on over a fresh connection as soon as there is one.

        Another of the same age was dead.
        """
        if self._wire is not None and (self._replacing is None or self._replacing.done()):
            self._replacing = self._loop.create_task(self._replace(self._wire, is_dead=True))

    def _leave(self, message: str) -> None:
        """
        Leave a server that is not the one to write to.

        What it still owes is waited for, then another is looked for.
        """
        warn_rarely(
            log, f"Redis at {self._address.shown}: {self._outage.note(message)}; connecting again"
        )
        distrust(self._address)
        self._outage.wire, self._outage.owed = self._wire, self._inflight
        self._wire, self._inflight = None, deque()
        self._start_connecting(first=False)

    async def _part(self) -> None:
        """
        Wait for what a server that is left still owes, hang up, and wait.

        Longer each time, for it lets us in at once.
        """
        outage, until = self._outage, self._loop.time() + self._patience_s
        while outage.owed and self._loop.time() < until:  # noqa: ASYNC110  an event would cost every reply a look
            await asyncio.sleep(_DRAIN_S)
        wire, outage.wire = outage.wire, None
        self._take_back(outage.owed)
        if wire is not None:
            wire.abort()
            await asyncio.sleep(outage.wait_s(self._loop.time()))

    def _send_again(self) -> None:
        """Put what was refused before all else that waits."""
        self._queue.extendleft(reversed(self._outage.refused))
        self._outage.refused.clear()
        self._flush()

    def _take_back(self, owed: deque[Waiting]) -> None:
        """Take from a connection what it owes: it goes over the next, where it may."""
        for call, future in reversed(owed):
            if call.resend:
                self._queue.appendleft((call, future))
            elif not future.done():
                future.set_exception(ReplyLost(call.name))
        owed.clear()

    def _on_lost(self, owed: deque[Waiting], wire: Wire, error: Exception | None) -> None:
        self._take_back(owed)
        if wire is not self._wire:
            return
        self._wire = None
        if self._closed:
            return
        log.warning(
            "lost the connection to Redis at %s (%s); connecting again",
            self._address.shown,
            error or "closed",
        )
        self._start_connecting(first=False)

    def _start_connecting(self, *, first: bool) -> None:
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        self._connecting = self._loop.create_task(self._connect(first=first))
        if not first:
            self._connecting.add_done_callback(
                lambda task: None if task.cancelled() else task.exception()
            )

    async def _connect(self, *, first: bool) -> None:
        await self._part()
        began = self._loop.time()
        for wait_s in growing_waits():
            try:
                wire, owed = await self._open()
            except (TimeoutError, OSError, RedisRefused) as error:
                if self._is_over(error, self._loop.time() - began, first=first):
                    problem = error if isinstance(error, RedisRefused) else self._unreachable(error)
                    self._fail_all(problem)
                    raise problem from None
                if self._retry_for_s is None:
                    warn_rarely(
                        log,
                        f"still no connection to Redis at {self._address.shown} ({_message_of(error)}); trying on",
                    )
                await asyncio.sleep(wait_s)
            else:
                self._go_on_over(wire, owed)
                if not first and self.on_reconnect is not None:
                    self.on_reconnect()
                return

    def _is_over(self, error: Exception, tried_s: float, *, first: bool) -> bool:
        """
        Say whether a connection is given up.

        Workers never do, but at their start, and then not on a server that comes.
        """
        limit_s = self._open_for_s if first else self._retry_for_s
        if limit_s is None:
            return False
        if isinstance(error, RedisRefused):
            return not may_pass(error) or (self._retry_for_s is not None and tried_s >= limit_s)
        return tried_s >= limit_s

    def _unreachable(self, error: Exception) -> RedisUnreachable:
        return RedisUnreachable(self._address.shown, _message_of(error))

    async def _open(self) -> tuple[Wire, deque[Waiting]]:
        """
        Make a connection and greet the server.

        Only then is it the link's, and other calls go over it.

        Each connection has its own list of what it owes: replies never meet the calls of another.
        """
        owed: deque[Waiting] = deque()
        wire = await open_wire(self._address, self._name, partial(self._on_lost, owed))
        try:
            async with asyncio.timeout(self._address.times.connect_s):
                refuse_errors(
                    await wire.ask([("SCRIPT", "LOAD", script.text) for script in all_scripts()])
                )
        except BaseException:
            wire.abort()
            raise
        if wire.transport.is_closing():
            raise ConnectionError("the connection was lost while it was made")
        wire.on_reply = partial(self._on_reply, owed)
        return wire, owed

    def _go_on_over(self, wire: Wire, owed: deque[Waiting]) -> None:
        before, self._wire = self._wire, wire
        still_owed, self._inflight = self._inflight, owed
        self._take_back(still_owed)
        if before is not None:
            before.abort()
        self._send_again()

    async def _replace(self, wire: Wire, *, is_dead: bool = False) -> None:
        """Make a connection beside a silent one and go on over it, unless that speaks meanwhile."""
        last_activity_at = wire.last_activity_at
        try:
            fresh, owed = await self._open()
        except (TimeoutError, OSError, RedisRefused):
            return
        if (
            self._closed
            or self._wire is not wire
            or (wire.last_activity_at != last_activity_at and not is_dead)
        ):
            fresh.abort()
            return
        warn_rarely(
            log,
            f"a connection to Redis at {self._address.shown} is dead, a new one answers; going on over that",
        )
        self._go_on_over(fresh, owed)
        for callback in (self.on_reconnect, None if is_dead else self.on_silent):
            if callback is not None:
                callback()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        wire = self._wire
        silent_s = 0.0 if wire is None else wire.silent_s()
        if self._retry_for_s is not None:
            self._expire(wire is None or silent_s >= min(_SWEEP_S, self._patience_s))
        if wire is None:
            return
        if silent_s > self._reply_timeout_s and self._inflight:
            log.warning(
                "no reply from Redis at %s for %.0f s; connecting again",
                self._address.shown,
                silent_s,
            )
            wire.abort()
        elif silent_s > self._reply_timeout_s:
            self.send(Call(None, (), ("PING",), lambda reply: reply)).add_done_callback(
                lambda ping: ping.exception()
            )
        elif silent_s >= self._patience_s and self._inflight and self._loop.time() >= self._look_at:
            self._look_at = (
                self._loop.time() + silent_s
            )  # a slow server is asked less and less often
            if self._replacing is None or self._replacing.done():
                self._replacing = self._loop.create_task(self._replace(wire))

    def _expire(self, is_stuck: bool) -> None:  # noqa: FBT001
        """
        Fail the calls whose time is over while nothing comes of them.

        A server that sends is waited for.
        """
        now, outage = self._loop.time(), self._outage
        waiting = [*self._inflight, *outage.owed, *outage.refused, *self._queue]
        self._seen = {
            future: self._seen.get(future, now) for _, future in waiting if not future.done()
        }
        if not (is_stuck or outage.is_recent(now)):
            return
        assert self._retry_for_s is not None
        limit_s = max(self._retry_for_s, self._patience_s) - _SWEEP_S
        sent = {future for _, future in (*self._inflight, *outage.owed)}
        for call, future in waiting:
            if not future.done() and now - self._seen[future] >= limit_s:
                if future in sent and not call.resend:
                    future.set_exception(ReplyLost(call.name))
                else:
                    future.set_exception(
                        outage.refusal_at(now)
                        or self._unreachable(TimeoutError("no answer in time"))
                    )

    def _fail_all(self, error: StepflowError) -> None:
        for waiting in (*self._inflight, *self._outage.owed, *self._outage.refused, *self._queue):
            if not waiting[1].done():
                waiting[1].set_exception(error)
        for each in (self._inflight, self._outage.owed, self._outage.refused, self._queue):
            each.clear()
