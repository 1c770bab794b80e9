"""
The async connection.

An idle server is sent a call at once, a busy one what has collected, in a few writes per turn of
the loop: a hundred concurrent steps cost a few round trips, not a hundred. `reconnecting.py` keeps
the connection alive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from stepflow.errors import RedisUnreachable, UsageError
from stepflow.store.calls import Call, Plan, ensure_calls
from stepflow.store.connection.error_replies import ELSEWHERE, LATER, refusal_of, word_of
from stepflow.store.connection.outage import Waiting
from stepflow.store.connection.reconnecting import Reconnecting
from stepflow.store.connection.resp import ReplyError, encode_command
from stepflow.store.scripts import all_scripts

T = TypeVar("T")

#: calls that are sent before the turn of the loop is over: the server works on them while the turn
#: goes on
_EARLY = 16


class AsyncCaller(Protocol):
    """What carries out calls on the loop: the async connection, or the fake server's stand-in."""

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Put *call* into the next write; the future has its answer."""

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one write, in order."""


async def carry_out(link: AsyncCaller, plan: Plan[T]) -> T:
    """
    Carry out a plan over an async connection.

    An error of the connection, and a cancellation, are raised in the plan, where it awaits. The
    plan is stepped by hand: the event loop never sees what it awaits.
    """
    try:
        calls = ensure_calls(plan.send(None))
        while True:
            try:
                if len(calls) == 1:
                    answers = [await link.call(calls[0])]
                else:
                    answers = await link.calls(calls)
            except BaseException as error:  # noqa: BLE001  raised where the plan awaits
                calls = ensure_calls(plan.throw(error))
            else:
                calls = ensure_calls(plan.send(answers))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        plan.close()


class AsyncConnection(Reconnecting):
    """
    Carries out calls on the running loop.

    *retry_for_s* None keeps trying for ever (workers); else it is the whole time of a call, which
    fails then with RedisUnreachable, or with the server's own refusal. *open_for_s* is the same for
    the first connection, *retry_for_s* unless given. *patience_s* is how long an answer may be owed
    before a fresh connection is made beside this one, *reply_timeout_s* how long before this one is
    given up in any case.
    """

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
            self._wire.heard_at = self._loop.time()
        while self._queue:
            waiting = self._queue.popleft()
            if waiting[1].done():
                continue
            try:
                parts.append(encode_command(waiting[0].command()))
            except (TypeError, UsageError) as error:  # it alone is not sent
                waiting[1].set_exception(error)
                continue
            self._inflight.append(waiting)
        self._wire.transport.write(b"".join(parts))

    def _on_reply(self, owed: deque[Waiting], reply: Any) -> None:
        call, future = owed.popleft()
        if isinstance(reply, ReplyError):
            self._on_error(owed, (call, future), str(reply))
            return
        if future.done():
            return
        try:
            future.set_result(call.read(reply))
        except Exception as error:  # noqa: BLE001  a reply that cannot be read is the caller's to hear of
            future.set_exception(error)

    def _on_error(self, owed: deque[Waiting], waiting: Waiting, message: str) -> None:
        if waiting[1].done():
            return
        word = word_of(message)
        is_left = owed is not self._inflight or self._wire is None
        if word == "NOSCRIPT" and not is_left:
            self._load_scripts()
            self._queue.append(waiting)
            self._flush()
        elif word in ELSEWHERE or word == "NOSCRIPT":
            self._setback.refused.append(waiting)
            if not is_left:
                self._leave(message)
        elif word in LATER:
            self._setback.refused.append(waiting)
            self._setback.note(message)
            if len(self._setback.refused) == 1:
                self._loop.call_later(self._setback.wait_s(self._loop.time()), self._send_again)
        elif waiting[0].misfit is not None and waiting[0].has_misfit(message):
            waiting[1].set_result(waiting[0].misfit())
        else:
            waiting[1].set_exception(refusal_of(message))

    def _load_scripts(self) -> None:
        assert self._wire is not None
        for script in all_scripts():
            done = self._loop.create_future()
            done.add_done_callback(lambda ended: ended.exception())
            load: Call[Any] = Call(None, (), ("SCRIPT", "LOAD", script.text), lambda reply: reply)
            self._inflight.append((load, done))
            self._wire.transport.write(encode_command(load.command()))
