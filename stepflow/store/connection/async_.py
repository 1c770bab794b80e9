"""
The async connection.

A call to an idle server is written at once. While replies are due, further calls are batched into a
few writes per turn of the loop, so a hundred concurrent steps cost a few round trips, not a
hundred. `reconnecting.py` keeps the connection alive.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from stepflow.errors import RedisUnreachable
from stepflow.store.calls import Call, CalledScript, Plan, ensure_calls
from stepflow.store.connection.error_replies import (
    ELSEWHERE,
    LATER,
    refusal_of,
    refused_by,
    word_of,
)
from stepflow.store.connection.loading import LoadedScripts, ScriptLoad, refusal_to_load
from stepflow.store.connection.outage import Waiting
from stepflow.store.connection.reconnecting import Reconnecting
from stepflow.store.connection.resp import ReplyError, encode_command

T = TypeVar("T")

#: queued calls that are written without waiting for the end of the loop's turn, so that the server
#: starts on them meanwhile
_SEND_NOW = 16


class AsyncCaller(Protocol):
    """Carries out calls on the loop: an AsyncConnection, or a FakeConnection in tests."""

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Add *call* to the next write; the future resolves to its result."""

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one write, in order."""


async def carry_out(connection: AsyncCaller, plan: Plan[T]) -> T:
    """
    Carry out a plan over an async connection.

    Connection errors and cancellation are raised inside the plan, at its `await`. The plan is
    driven with `send` and `throw`: the event loop never sees what it awaits.
    """
    try:
        calls = ensure_calls(plan.send(None))
        while True:
            try:
                if len(calls) == 1:
                    answers = [await connection.call(calls[0])]
                else:
                    answers = await connection.calls(calls)
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

    *retry_for_s* is the total time a call may take, retries included; after that it fails with
    RedisUnreachable, or with RedisRefused if the server kept refusing. None retries for ever, as
    workers do. *open_for_s* is the same limit for the first connection: by default *retry_for_s*,
    or a single attempt if that is None.

    After *patience_s* without a reply a second connection is opened to find out whether this one
    is dead; after *reply_timeout_s* this one is dropped in any case.
    """

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Add *call* to the next write; the future resolves to its result."""
        future: asyncio.Future[T] = self._loop.create_future()
        if self._closed:
            future.set_exception(RedisUnreachable(self._address.shown, "the connection was closed"))
            return future
        self._queue.append((call, future))
        if len(self._queue) >= _SEND_NOW or not self._inflight:
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
        if self._protocol is None or not self._queue:
            if self._queue and (self._connecting is None or self._connecting.done()):
                self._start_connecting(first=False)
            return
        parts, loaded = [], self._protocol.loaded
        if not self._inflight:
            self._protocol.last_activity_at = self._loop.time()
        while self._queue:
            waiting = self._queue.popleft()
            if waiting[1].done():
                continue
            try:
                sent = encode_command(waiting[0].parts)
            except Exception as error:  # noqa: BLE001  fails this call alone, also one made late
                waiting[1].set_exception(error)
                continue
            script = waiting[0].script
            if script is not None and script.sha not in loaded:
                parts.append(self._load(script, loaded))
            parts.append(sent)
            self._inflight.append(waiting)
        self._protocol.transport.write(b"".join(parts))

    def _on_reply(self, owed: deque[Waiting], reply: Any) -> None:
        call, future = owed.popleft()
        if isinstance(reply, ReplyError):
            self._on_error(owed, (call, future), str(reply))
            return
        if future.done():
            return
        try:
            future.set_result(call.read(reply))
        except Exception as error:  # noqa: BLE001  the caller gets its error
            future.set_exception(error)

    def _on_error(self, owed: deque[Waiting], waiting: Waiting, message: str) -> None:
        if waiting[1].done():
            return
        word = word_of(message)
        if isinstance(waiting[0], ScriptLoad):  # its calls are answered likewise
            waiting[1].set_exception(refused_by(message))
            return
        is_left = owed is not self._inflight or self._protocol is None
        if word == "NOSCRIPT" and not is_left:
            assert waiting[0].script is not None
            self._send_with_script(waiting, waiting[0].script)
        elif word in ELSEWHERE or word == "NOSCRIPT":
            self._outage.refused.append(waiting)
            if not is_left:
                self._leave(message)
        elif word in LATER:
            self._outage.refused.append(waiting)
            self._outage.note(message)
            if len(self._outage.refused) == 1:
                self._loop.call_later(self._outage.wait_s(self._loop.time()), self._send_again)
        elif waiting[0].misfit is not None and waiting[0].has_misfit(message):
            waiting[1].set_result(waiting[0].misfit())
        else:
            waiting[1].set_exception(refusal_of(message, waiting[0].key))

    def _load(self, script: CalledScript, loaded: LoadedScripts) -> bytes:
        """Give what has the server know *script*, to be written in front of its first call."""
        load, done = ScriptLoad(script), self._loop.create_future()
        loaded[script.sha] = False
        done.add_done_callback(
            lambda ended: load.note(loaded, None if ended.cancelled() else ended.exception())
        )
        self._inflight.append((load, done))
        return encode_command(load.parts)

    def _send_with_script(self, waiting: Waiting, script: CalledScript) -> None:
        """Send a call again, with its script, which the server does not know any more."""
        assert self._protocol is not None
        refusal = refusal_to_load(self._protocol.loaded, script.sha)
        if refusal is not None:
            waiting[1].set_exception(refusal)
            return
        self._queue.append(waiting)
        self._flush()
