"""
The blocking connection.

It carries out calls for the sync client, the command line and threads, each within one budget of
time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar, cast

from stepflow.errors import RedisRefused, RedisUnreachable, ReplyLost
from stepflow.store.calls import Call, Plan, ensure_calls
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.error_replies import ELSEWHERE, LATER, may_pass, refusal_of, word_of
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.redis_py import RedisPyPool, connect, redis_errors_as_ours
from stepflow.store.connection.resp import ReplyError, encode_command
from stepflow.store.connection.retry_waits import growing
from stepflow.store.connection.sentinel import distrust
from stepflow.store.connection.sockets import Socket, SocketPool, Sockets
from stepflow.store.scripts import all_scripts

__all__ = [
    "SyncCaller",
    "SyncConnection",
    "carry_out",
    "connect",
    "redis_errors_as_ours",
    "refusal_of",
]

T = TypeVar("T")

log = logging.getLogger("stepflow.link")

#: calls of one round trip that are sent at a time: the server works on them while the next are
#: written
_PIECE = 50


class SyncCaller(Protocol):
    """What carries out calls and waits for the answer."""

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several in one round trip, in order."""

    def listening(self, channel: str) -> AbstractContextManager[Callable[[float], None]]:
        """Listen to a channel; the callable waits for a message, at most so many seconds."""


def carry_out(link: SyncCaller, plan: Plan[T]) -> T:
    """
    Carry out a plan over a blocking connection.

    An error of the connection is raised in the plan, where it awaits.
    """
    try:
        calls = ensure_calls(plan.send(None))
        while True:
            try:
                answers = link.calls(calls)
            except BaseException as error:  # noqa: BLE001  raised where the plan awaits
                calls = ensure_calls(plan.throw(error))
            else:
                calls = ensure_calls(plan.send(answers))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    finally:
        plan.close()


class SyncConnection:
    """
    Carries out calls over sockets (`to`), or over those of a redis-py client, real or fake.

    *retry_for_s* is the whole time of a call, whatever fails on the way. A call that may be sent
    again is, with growing waits, and so is one that the server refused because it is not, or not
    yet, the one to write to. Raises RedisUnreachable after that, or RedisRefused with the server's
    own word; ReplyLost for a call that must not arrive twice and may have. Safe for threads.
    """

    def __init__(
        self, client: Any, shown: str, *, retry_for_s: float = 10.0, address: Address | None = None
    ) -> None:
        self.client = client
        self._lines: Sockets = client if hasattr(client, "take") else RedisPyPool(client)
        self._shown = shown
        self._retry_for_s = retry_for_s
        self._address = address
        #: seconds that a call is given however short its budget: an answer that is under way is
        #: worth them
        self._least_s = PATIENCE_S

    @classmethod
    def to(
        cls,
        address: Address,
        *,
        retry_for_s: float | None = None,
        reply_timeout_s: float | None = None,
        patience_s: float = PATIENCE_S,
    ) -> SyncConnection:
        """
        Make a connection to *address*, which is opened at the first call.

        The time limits are those of the address where no others are passed.
        """
        budget_s = address.times.budget_s if retry_for_s is None else retry_for_s
        lines = SocketPool(address, reply_s=reply_timeout_s, patience_s=patience_s)
        link = cls(lines, address.shown, retry_for_s=budget_s, address=address)
        link._least_s = min(PATIENCE_S, patience_s)
        return link

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return self.calls([call])[0]

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one round trip, in order."""
        errand = _Errand(calls)
        began = time.monotonic()
        no_more_tries = began + self._retry_for_s
        until = began + max(self._retry_for_s, self._least_s)
        for wait_s in growing():
            if not errand.open:
                break
            problem: Exception | None = None
            try:
                problem = self._try(errand, until)
            except OSError as lost:
                problem = lost
            except RedisRefused as refused:  # by a server that lets nobody in
                if not may_pass(refused):
                    raise
                problem = refused
            if problem is not None:
                if time.monotonic() + wait_s >= no_more_tries:
                    raise self._given_up(problem)
                time.sleep(wait_s)
        return errand.read()

    def _try(self, errand: _Errand, until: float) -> Exception | None:
        """
        Send what has no answer yet and read the answers.

        Gives the refusal that must pass before some of it is sent again, or None.
        """
        line = self._lines.take(until)
        try:
            again = errand.send(line, until)
            if word_of(again) == "NOSCRIPT":
                load = [("SCRIPT", "LOAD", script.text) for script in all_scripts()]
                line.send(b"".join(encode_command(command) for command in load), until)
                for _ in load:
                    line.read(until)
                again = errand.send(line, until)
        except BaseException:
            line.close()
            raise
        word = word_of(again)
        if word not in ELSEWHERE:
            self._lines.give(line)
        else:
            line.close()
            self._lines.drop()
            if self._address is not None:
                distrust(self._address)
        return refusal_of(again) if again else None

    def _given_up(self, problem: Exception) -> Exception:
        if isinstance(problem, RedisRefused):
            return problem
        return RedisUnreachable(self._shown, redacted(str(problem)) or type(problem).__name__)

    def listening(self, channel: str) -> AbstractContextManager[Callable[[float], None]]:
        """
        Listen to *channel*; the callable waits for a message, at most so many seconds.

        A lost connection only ends the wait: callers check again in any case.
        """
        return cast(
            "AbstractContextManager[Callable[[float], None]]", self._lines.listening(channel)
        )

    def close(self) -> None:
        """Give the connections back."""
        self._lines.drop()


class _Errand:
    """Some calls on their way, and the answers that have come."""

    def __init__(self, calls: Sequence[Call[Any]]) -> None:
        self._calls = calls
        self.open = list(range(len(calls)))
        self.answers: dict[int, Any] = {}

    def send(self, line: Socket, until: float) -> str:
        """
        Send the calls without an answer over *line* and read their answers.

        Gives the answer of one that has to be sent again, or "". When the connection breaks, raises
        ReplyLost if a call may not be sent again, else OSError.
        """
        waiting, sent = self.open, False
        self.open, again = [], ""
        try:
            for first in range(0, len(waiting), _PIECE):
                piece = [
                    encode_command(self._calls[number].command())
                    for number in waiting[first : first + _PIECE]
                ]
                sent = True
                line.send(b"".join(piece), until)
            for number in waiting:
                again = self._take(number, line.read(until)) or again
        except OSError as error:
            left = [
                number
                for number in waiting
                if number not in self.answers and number not in self.open
            ]
            for number in left if sent else ():
                if not self._calls[number].resend:
                    raise ReplyLost(self._calls[number].name) from error
            self.open += left
            raise
        return again

    def _take(self, number: int, reply: Any) -> str | None:
        if not isinstance(reply, ReplyError):
            self.answers[number] = reply
            return None
        word = word_of(str(reply))
        if word == "NOSCRIPT" or word in ELSEWHERE or word in LATER:
            self.open.append(number)
            return str(reply)
        self.answers[number] = reply
        return None

    def read(self) -> list[Any]:
        """
        Read the answers, in order.

        Raises RedisRefused for the first error that its call does not expect.
        """
        return [_read(call, self.answers[number]) for number, call in enumerate(self._calls)]


def _read(call: Call[T], answer: Any) -> T:
    if not isinstance(answer, ReplyError):
        return call.read(answer)
    if call.misfit is not None and call.has_misfit(str(answer)):
        return call.misfit()
    raise refusal_of(str(answer))
