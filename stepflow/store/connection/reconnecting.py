"""
An async connection that stays open: it reconnects when lost, dead or refused.

A connection is dead when it is silent while a fresh one answers: a network can drop packets without
closing anything. A server that does not take writes is left, and the calls it refused are sent to
the server found in its place.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from stepflow.errors import RedisRefused, RedisUnreachable, ReplyLost, StepflowError
from stepflow.store.calls import Call
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.error_replies import may_pass
from stepflow.store.connection.outage import Outage, Waiting
from stepflow.store.connection.protocol import RedisProtocol, open_connection
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.retry_waits import growing_waits, warn_rarely
from stepflow.store.connection.sentinel import distrust

T = TypeVar("T")

log = logging.getLogger("stepflow.connection")

#: seconds between checks for a silent connection and for calls whose time is up
_SWEEP_S = 0.5
#: seconds between checks whether a server being left has sent the replies it owes
_DRAIN_S = 0.01


def _message_of(error: Exception) -> str:
    return redacted(str(error)) or type(error).__name__


class Reconnecting(ABC):
    """
    Keeps a connection open and holds the calls that wait to be sent or answered.

    The subclass says what is sent (`send`, `_flush`) and what a reply means (`_on_reply`).
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
        self._protocol: RedisProtocol | None = None
        self._flushing = False
        self._closed = False
        #: another number whenever another socket may answer
        self.epoch = 0
        self._outage = Outage()
        self._connecting: asyncio.Task[None] | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._probe_at = 0.0
        self._loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._sweeper: asyncio.TimerHandle | None = None
        self._waiting_since: dict[asyncio.Future[Any], float] = {}
        #: called after each reconnect
        self.on_reconnect: Callable[[], None] | None = None
        #: called when the connection was dead without having been closed: others may be dead, too
        self.on_silent: Callable[[], None] | None = None

    @abstractmethod
    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Add *call* to the next write; the future resolves to its result."""

    @abstractmethod
    def _flush(self) -> None:
        """Write the queued calls, or start connecting when there is no connection."""

    @abstractmethod
    def _on_reply(self, owed: deque[Waiting], reply: Any) -> None:
        """Handle a reply to the first call of *owed*."""

    async def open(self) -> None:
        """Connect; raises RedisUnreachable after *open_for_s*, or RedisRefused."""
        self._start_connecting(first=True)
        assert self._connecting is not None
        await self._connecting

    async def close(self) -> None:
        """Close the connection; calls that still wait fail with RedisUnreachable."""
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
        for protocol in (self._protocol, self._outage.protocol):
            if protocol is not None:
                protocol.abort()
        self._protocol = None
        self._fail_all(RedisUnreachable(self._address.shown, "the connection was closed"))

    def drop(self) -> None:
        """Close the sockets; for one whose loop was closed before it."""
        self._closed = True
        for protocol in (self._protocol, self._outage.protocol):
            if protocol is not None:
                protocol.drop()
        self._protocol = self._outage.protocol = None

    def renew(self) -> None:
        """
        Move to a fresh connection as soon as one is open.

        Call it when another connection of the same age turned out to be dead.
        """
        if self._protocol is not None and (self._replacing is None or self._replacing.done()):
            self._replacing = self._loop.create_task(self._replace(self._protocol, is_dead=True))

    def _leave(self, message: str) -> None:
        """
        Leave a server that does not take writes.

        Waits for the replies it still owes, then looks for another server.
        """
        warn_rarely(
            log, f"Redis at {self._address.shown}: {self._outage.note(message)}; connecting again"
        )
        distrust(self._address)
        self.epoch += 1
        self._outage.protocol, self._outage.owed = self._protocol, self._inflight
        self._protocol, self._inflight = None, deque()
        self._start_connecting(first=False)

    async def _drain(self) -> None:
        """
        Wait for the replies of the server being left, hang up, and pause.

        The pause grows each time: such a server accepts new connections at once.
        """
        outage, until = self._outage, self._loop.time() + self._patience_s
        # an event instead would cost every reply a check
        while outage.owed and self._loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(_DRAIN_S)
        protocol, outage.protocol = outage.protocol, None
        self._take_back(outage.owed)
        if protocol is not None:
            protocol.abort()
            await asyncio.sleep(outage.wait_s(self._loop.time()))

    def _send_again(self) -> None:
        """Put refused calls back at the head of the queue and send it."""
        self._queue.extendleft(reversed(self._outage.refused))
        self._outage.refused.clear()
        self._flush()

    def _take_back(self, owed: deque[Waiting]) -> None:
        """Requeue the calls of a lost connection; those that must not be sent twice fail."""
        for call, future in reversed(owed):
            if call.resend:
                self._queue.appendleft((call, future))
            elif not future.done():
                future.set_exception(ReplyLost(call.name))
        owed.clear()

    def _on_lost(
        self, owed: deque[Waiting], protocol: RedisProtocol, error: Exception | None
    ) -> None:
        self._take_back(owed)
        if protocol is not self._protocol:
            return
        self._protocol = None
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
        await self._drain()
        began = self._loop.time()
        for wait_s in growing_waits():
            try:
                protocol, owed = await self._open()
            except (TimeoutError, OSError, RedisRefused) as error:
                if self._is_over(error, self._loop.time() - began, first=first):
                    problem = error if isinstance(error, RedisRefused) else self._unreachable(error)
                    self._fail_all(problem)
                    raise problem from None
                if self._retry_for_s is None:
                    warn_rarely(
                        log,
                        f"still no connection to Redis at {self._address.shown} "
                        f"({_message_of(error)}); trying on",
                    )
                await asyncio.sleep(wait_s)
            else:
                self._switch_to(protocol, owed)
                if not first and self.on_reconnect is not None:
                    self.on_reconnect()
                return

    def _is_over(self, error: Exception, tried_s: float, *, first: bool) -> bool:
        """
        Return whether to stop trying to connect after *error*.

        A worker gives up only on its first connection, and then not on a server that is loading.
        """
        limit_s = self._open_for_s if first else self._retry_for_s
        if limit_s is None:
            return False
        if isinstance(error, RedisRefused):
            return not may_pass(error) or (self._retry_for_s is not None and tried_s >= limit_s)
        return tried_s >= limit_s

    def _unreachable(self, error: Exception) -> RedisUnreachable:
        return RedisUnreachable(self._address.shown, _message_of(error))

    async def _open(self) -> tuple[RedisProtocol, deque[Waiting]]:
        """
        Open a connection and greet the server.

        Returns it with its own queue of calls that await a reply, so that its replies can never be
        matched with the calls of another connection.
        """
        owed: deque[Waiting] = deque()
        protocol = await open_connection(self._address, self._name, partial(self._on_lost, owed))
        if protocol.transport.is_closing():
            raise ConnectionError("the connection was lost while it was made")
        protocol.on_reply = partial(self._on_reply, owed)
        return protocol, owed

    def _switch_to(self, protocol: RedisProtocol, owed: deque[Waiting]) -> None:
        self.epoch += 1
        before, self._protocol = self._protocol, protocol
        still_owed, self._inflight = self._inflight, owed
        self._take_back(still_owed)
        if before is not None:
            before.abort()
        self._send_again()

    async def _replace(self, protocol: RedisProtocol, *, is_dead: bool = False) -> None:
        """Open a second connection and move to it, unless *protocol* is active meanwhile."""
        last_activity_at = protocol.last_activity_at
        try:
            fresh, owed = await self._open()
        except (TimeoutError, OSError, RedisRefused):
            return
        if (
            self._closed
            or self._protocol is not protocol
            or (protocol.last_activity_at != last_activity_at and not is_dead)
        ):
            fresh.abort()
            return
        warn_rarely(
            log,
            f"a connection to Redis at {self._address.shown} is dead, a new one answers; "
            "going on over that",
        )
        self._switch_to(fresh, owed)
        for callback in (self.on_reconnect, None if is_dead else self.on_silent):
            if callback is not None:
                callback()

    def _sweep(self) -> None:
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        protocol = self._protocol
        silent_s = 0.0 if protocol is None else protocol.silent_s()
        if self._retry_for_s is not None:
            self._expire(protocol is None or silent_s >= min(_SWEEP_S, self._patience_s))
        if protocol is None:
            return
        if silent_s > self._reply_timeout_s and self._inflight:
            log.warning(
                "no reply from Redis at %s for %.0f s; connecting again",
                self._address.shown,
                silent_s,
            )
            protocol.abort()
        elif silent_s > self._reply_timeout_s:
            self.send(Call(None, ("PING",), lambda reply: reply)).add_done_callback(
                lambda ping: ping.exception()
            )
        elif (
            silent_s >= self._patience_s and self._inflight and self._loop.time() >= self._probe_at
        ):
            # probe a slow server less and less often
            self._probe_at = self._loop.time() + silent_s
            if self._replacing is None or self._replacing.done():
                self._replacing = self._loop.create_task(self._replace(protocol))

    def _expire(self, is_stuck: bool) -> None:  # noqa: FBT001
        """
        Fail the calls whose time is up, unless the server keeps sending replies.

        A call that may have been carried out fails with ReplyLost.
        """
        now, outage = self._loop.time(), self._outage
        waiting = [*self._inflight, *outage.owed, *outage.refused, *self._queue]
        self._waiting_since = {
            future: self._waiting_since.get(future, now)
            for _, future in waiting
            if not future.done()
        }
        if not (is_stuck or outage.is_recent(now)):
            return
        assert self._retry_for_s is not None
        limit_s = max(self._retry_for_s, self._patience_s) - _SWEEP_S
        sent = {future for _, future in (*self._inflight, *outage.owed)}
        for call, future in waiting:
            if not future.done() and now - self._waiting_since[future] >= limit_s:
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
