"""
The sync connection, for the sync client, the command line and threads.

Each call has one time budget, which covers every retry and reconnect.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self, TypeVar, cast

from stepflow.errors import RedisRefused, RedisUnreachable, ReplyLost
from stepflow.store.calls import Call, Plan, ensure_calls
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.error_replies import (
    ELSEWHERE,
    LATER,
    may_pass,
    refusal_of,
    refused_by,
    word_of,
)
from stepflow.store.connection.loading import ScriptLoad, refusal_to_load
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.resp import ReplyError, encode_command
from stepflow.store.connection.retry_waits import growing_waits
from stepflow.store.connection.sentinel import distrust
from stepflow.store.connection.sockets import Pool, Socket, SocketPool

T = TypeVar("T")

log = logging.getLogger("stepflow.connection")

#: calls per write: the server works on one chunk while the next is written
_CHUNK = 50


class SyncCaller(Protocol):
    """Carries out calls and waits for their results: a SyncConnection, or a stand-in in tests."""

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one round trip; returns their results in order."""

    def listening(self, *channels: str) -> AbstractContextManager[Callable[[float], None]]:
        """Listen to channels; yields a function that waits up to so many seconds for a message."""


def carry_out(connection: SyncCaller, plan: Plan[T]) -> T:
    """
    Carry out a plan over a sync connection and return its result.

    Connection errors are raised inside the plan, at its `await`.
    """
    return carry_out_calls(connection.calls, plan)


def carry_out_calls(ask: Callable[[Sequence[Call[Any]]], list[Any]], plan: Plan[T]) -> T:
    """Carry out a plan as `carry_out` does; *ask* carries out the calls of a round trip."""
    try:
        calls = ensure_calls(plan.send(None))
        while True:
            try:
                answers = ask(calls)
            except BaseException as error:  # noqa: BLE001  raised where the plan awaits
                calls = ensure_calls(plan.throw(error))
            else:
                calls = ensure_calls(plan.send(answers))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        plan.close()


def _pool_of(client: Any) -> Pool:
    """Wrap a redis-py client, which a client of its own sockets does without: it is large."""
    from stepflow.store.connection.redis_py import RedisPyPool  # noqa: PLC0415

    return RedisPyPool(client)


class SyncConnection:
    """
    Carries out calls over its own sockets (see `to`), or over a redis-py client, real or fake.

    *retry_for_s* is the total time a call may take, retries included. A call is sent again, with
    growing waits, when it is safe to send twice, or when the server refused it because it does not
    take writes yet or any more. When the time is up it raises RedisUnreachable, or RedisRefused
    with the server's last refusal. A call that is not safe to send twice and may have arrived
    raises ReplyLost. Safe to use from several threads.
    """

    def __init__(
        self, client: Any, shown: str, *, retry_for_s: float = 10.0, address: Address | None = None
    ) -> None:
        self.client = client
        self._pool: Pool = client if hasattr(client, "take") else _pool_of(client)
        self._shown = shown
        self._retry_for_s = retry_for_s
        self._address = address
        #: how it sleeps between the tries of a call; may raise
        self.wait: Callable[[float], None] = time.sleep
        #: seconds that a call may wait for a reply even if its budget is shorter
        self._least_s = PATIENCE_S

    def _pending(self, calls: Sequence[Call[Any]]) -> PendingCalls:
        """Begin a batch; a connection that confirms has one of its own."""
        return PendingCalls(calls)

    @classmethod
    def to(
        cls,
        address: Address,
        *,
        retry_for_s: float | None = None,
        reply_timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Self:
        """
        Return a connection to *address* that connects at the first call.

        Time limits that are not passed come from the address.
        """
        budget_s = address.times.budget_s if retry_for_s is None else retry_for_s
        pool = SocketPool(address, reply_s=reply_timeout_s, patience_s=patience_s)
        connection = cls(pool, address.shown, retry_for_s=budget_s, address=address)
        connection._least_s = min(PATIENCE_S, patience_s)
        return connection

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return self.calls([call])[0]

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one round trip; returns their results in order."""
        pending = self._pending(calls)
        began = time.monotonic()
        no_more_tries = began + self._retry_for_s
        until = began + max(self._retry_for_s, self._least_s)
        for wait_s in growing_waits():
            if not pending.unanswered:
                break
            problem: Exception | None = None
            try:
                problem = self._try(pending, until)
            except OSError as lost:
                problem = lost
            except RedisRefused as refused:  # while connecting
                if not may_pass(refused):
                    raise
                problem = refused
            if problem is not None:
                if time.monotonic() + wait_s >= no_more_tries:
                    raise self._given_up(problem)
                self.wait(wait_s)
        return pending.read()

    def _try(self, pending: PendingCalls, until: float) -> Exception | None:
        """
        Send the unanswered calls and read the replies.

        Returns the refusal because of which some must be sent again, or None.
        """
        sock = self._pool.take(until)
        try:
            again = pending.send(sock, until)
            if word_of(again) == "NOSCRIPT":  # somebody has flushed the server's scripts
                pending.forget_scripts(sock)
                again = pending.send(sock, until)
        except BaseException:
            sock.close()
            raise
        word = word_of(again)
        if word not in ELSEWHERE:
            self._pool.give_back(sock)
        else:
            sock.close()
            self._pool.close_idle()
            if self._address is not None:
                distrust(self._address)
        return refusal_of(again) if again else None

    def _given_up(self, problem: Exception) -> Exception:
        if isinstance(problem, RedisRefused):
            return problem
        return RedisUnreachable(self._shown, redacted(str(problem)) or type(problem).__name__)

    def listening(self, *channels: str) -> AbstractContextManager[Callable[[float], None]]:
        """
        Listen to *channels*; yields a function that waits up to so many seconds for a message.

        A lost connection ends the wait early, so callers must poll as well.
        """
        return cast(
            "AbstractContextManager[Callable[[float], None]]", self._pool.listening(*channels)
        )

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.close_idle()


class PendingCalls:
    """A batch of calls, and the replies received so far."""

    def __init__(self, calls: Sequence[Call[Any]]) -> None:
        self.asked = calls
        self.unanswered = list(range(len(calls)))
        self.answers: dict[int, Any] = {}

    def send(self, sock: Socket, until: float) -> str:
        """
        Send the unanswered calls over *sock* and read the replies.

        Returns the error reply of a call that must be sent again, or "". When the connection
        breaks, raises ReplyLost if a call is not safe to send twice, else OSError.
        """
        waiting, sent = self.unanswered, False
        self.unanswered, again = [], ""
        due: list[int | ScriptLoad] = []
        try:
            for first in range(0, len(waiting), _CHUNK):
                chunk = []
                for number in waiting[first : first + _CHUNK]:
                    call = self.asked[number]
                    command, script = encode_command(call.parts), call.script
                    if script is not None and script.sha not in sock.loaded:
                        load = ScriptLoad(script)
                        sock.loaded[script.sha] = False
                        due.append(load)
                        chunk.append(encode_command(load.parts))
                    due.append(number)
                    chunk.append(command)
                sent = True
                sock.send(b"".join(chunk), until)
            for each in due:
                reply = sock.read(until)
                if isinstance(each, int):
                    again = self._take(each, reply) or again
                else:
                    refusal = refused_by(str(reply)) if isinstance(reply, ReplyError) else None
                    each.note(sock.loaded, refusal)
        except OSError:
            left = [
                number
                for number in waiting
                if number not in self.answers and number not in self.unanswered
            ]
            if sent:
                self.refuse_to_repeat(left)
            self.unanswered += left
            raise
        return again

    def refuse_to_repeat(self, numbers: Sequence[int]) -> None:
        """Raise ReplyLost if one of these calls, which may have arrived, must not arrive twice."""
        for number in numbers:
            if not self.asked[number].resend:
                raise ReplyLost(self.asked[number].name)

    def _take(self, number: int, reply: Any) -> str | None:
        if not isinstance(reply, ReplyError):
            self.answers[number] = reply
            return None
        word = word_of(str(reply))
        if word == "NOSCRIPT" or word in ELSEWHERE or word in LATER:
            self.unanswered.append(number)
            return str(reply)
        self.answers[number] = reply
        return None

    def forget_scripts(self, sock: Socket) -> None:
        """
        Have the scripts of unanswered calls sent again over *sock*.

        Raises RedisRefused for one that the server does not take.
        """
        for script in [self.asked[number].script for number in self.unanswered]:
            refusal = script and refusal_to_load(sock.loaded, script.sha)
            if refusal:
                raise refusal

    def read(self) -> list[Any]:
        """
        Return the results, in the order of the calls.

        Raises RedisRefused for the first error reply that its call does not expect.
        """
        return [_read(call, self.answers[number]) for number, call in enumerate(self.asked)]


def _read(call: Call[T], answer: Any) -> T:
    if not isinstance(answer, ReplyError):
        return call.read(answer)
    if call.misfit is not None and call.has_misfit(str(answer)):
        return call.misfit()
    raise refusal_of(str(answer), call.key)
