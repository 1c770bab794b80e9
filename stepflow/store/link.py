"""The blocking link: carries out calls for the sync client, the command line and threads, by redis-py."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential, wait_random

from stepflow.errors import RedisRefused, RedisUnreachable, ReplyLost, StepflowError
from stepflow.store.address import Address, redacted
from stepflow.store.calls import Call, Plan
from stepflow.store.resp import not_text, pack
from stepflow.store.scripts import all_scripts

T = TypeVar("T")

#: what a refusal begins with, and what to do about it
_HINTS = {
    "OOM": "give it more memory or delete data; nothing was written",
    "READONLY": "this is a replica: connect to the primary",
    "MISCONF": "it cannot persist: look at its disk and log; nothing was written",
    "LOADING": "it is still loading its data; try again shortly",
    "NOAUTH": "put the password into the URL",
    "WRONGPASS": "correct the user or password in the URL",
    "NOPERM": "this Redis user may not do that; grant it",
    "ACL failure": "this Redis user may not do that; grant it",
}

#: the words that redis-py turns into classes
_WORDS = {
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.NoPermissionError: "NOPERM",
}


#: calls of one round trip that are sent at a time: the server works on them while the next are written
_PIECE = 50


class Link(Protocol):
    """What carries out calls and waits for the answer."""

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several in one round trip, in order."""

    def listening(self, channel: str) -> AbstractContextManager[Callable[[float], None]]:
        """Listen to a channel; the callable waits for a message, at most so many seconds."""


def carry_out(link: Link, plan: Plan[T]) -> T:
    """Carry out a plan over a blocking link."""
    answer: Any = None
    try:
        while True:
            step = plan.send(answer)
            answer = link.calls(step) if isinstance(step, list) else link.call(step)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def refusal_of(message: str) -> RedisRefused:
    """Make the error for something Redis answered with an error."""
    word = message.split(" ", 1)[0]
    if word == "ERR" or word not in _HINTS:
        for known in _HINTS:
            if known in message:
                word = known
    return RedisRefused(redacted(message), _HINTS.get(word, "look at the server's log"))


def _as_answered(error: redis.RedisError) -> str:
    """Give Redis's answer whole: redis-py makes a class of the first word and takes it off."""
    words = str(error)
    for kind, word in _WORDS.items():
        if isinstance(error, kind):
            return f"{word} {words}"
    if isinstance(error, redis.AuthenticationError):
        return f"{'NOAUTH' if 'required' in words else 'WRONGPASS'} {words}"
    return words


def _may_pass(error: BaseException) -> bool:
    """Say whether the same call may go well a moment later; a wrong password, to redis-py a lost connection, stays wrong."""
    if isinstance(error, redis.AuthenticationError):
        return False
    return isinstance(error, redis.ConnectionError | redis.TimeoutError | OSError)


def _answer(connection: Any) -> Any:
    """Read the next answer, an error as a value."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


@contextmanager
def in_our_words(address: Address) -> Iterator[None]:
    """Turn what redis-py raises in the block, where others call it, into our errors."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        if not _may_pass(error):
            raise refusal_of(_as_answered(error)) from None
        raise RedisUnreachable(address.shown, redacted(str(error))) from None
    except redis.RedisError as error:
        raise refusal_of(_as_answered(error)) from None


def connect(address: Address, *, connect_timeout_s: float = 5.0, reply_timeout_s: float = 30.0) -> Any:
    """Make the one kind of redis-py client we use: it never retries on its own, every time limit is explicit."""
    return redis.Redis(
        **address.client_options(),
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=connect_timeout_s,
        socket_timeout=reply_timeout_s,
        socket_keepalive=True,
        health_check_interval=0,
        protocol=2,
    )


class BlockingLink:
    """
    Carries out calls over a redis-py client, a real one or a fake.

    A call that may be re-sent is, with growing waits, for *retry_for_s* seconds; raises RedisUnreachable after that,
    ReplyLost for a call that must not arrive twice, RedisRefused when Redis answers with an error. Safe for threads.
    """

    def __init__(self, client: Any, shown: str, *, retry_for_s: float = 10.0) -> None:
        self.client = client
        self._shown = shown
        self._retry_for_s = retry_for_s

    @classmethod
    def to(cls, address: Address, *, retry_for_s: float = 10.0, reply_timeout_s: float = 30.0) -> BlockingLink:
        """Make a link to *address*; connects at the first call."""
        return cls(connect(address, reply_timeout_s=reply_timeout_s), address.shown, retry_for_s=retry_for_s)

    def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return self.calls([call])[0]

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls in one round trip, in order."""
        if not calls:
            return []
        try:
            if not all(call.resend for call in calls):
                return self._send(calls)
            for attempt in self._attempts():
                with attempt:
                    return self._send(calls)
        except redis.AuthenticationError as error:
            raise refusal_of(_as_answered(error)) from None
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            for call in calls:
                if not call.resend:
                    raise ReplyLost(call.name) from error
            raise RedisUnreachable(self._shown, redacted(str(error))) from None
        except redis.RedisError as error:
            raise refusal_of(_as_answered(error)) from None
        raise AssertionError

    def _attempts(self) -> Retrying:
        return Retrying(
            stop=stop_after_delay(self._retry_for_s),
            wait=wait_exponential(multiplier=0.05, max=1.0) + wait_random(0, 0.05),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )

    def _send(self, calls: Sequence[Call[T]]) -> list[T]:
        replies = self._execute(calls)
        missing = [
            call.script
            for call, reply in zip(calls, replies, strict=True)
            if isinstance(reply, redis.exceptions.NoScriptError)
        ]
        if missing:
            for script in all_scripts():
                self.client.script_load(script.text)
            again = [index for index, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
            for index, reply in zip(again, self._execute([calls[index] for index in again]), strict=True):
                replies[index] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return [call.read(reply) for call, reply in zip(calls, replies, strict=True)]

    def _execute(self, calls: Sequence[Call[T]]) -> list[Any]:
        if len(calls) == 1:
            try:
                return [self.client.execute_command(*calls[0].command())]
            except redis.exceptions.NoScriptError as error:
                return [error]
            except UnicodeEncodeError as error:
                raise not_text(error) from None
        connection = self.client.connection_pool.get_connection()
        try:
            for first in range(0, len(calls), _PIECE):
                piece = [pack(call.command()) for call in calls[first : first + _PIECE]]
                connection.send_packed_command([b"".join(piece)])
            return [_answer(connection) for _ in calls]
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self.client.connection_pool.release(connection)

    @contextmanager
    def listening(self, channel: str) -> Iterator[Callable[[float], None]]:
        """
        Listen to *channel*; the callable waits for a message, at most so many seconds.

        A lost connection only ends the wait: whoever listens looks again anyway.
        """
        pubsub = self.client.pubsub(ignore_subscribe_messages=True)

        def heard(timeout_s: float) -> None:
            try:
                pubsub.get_message(timeout=timeout_s)
            except (redis.RedisError, OSError):
                time.sleep(min(timeout_s, 0.1))

        try:
            with suppress(redis.RedisError, OSError):
                pubsub.subscribe(channel)
            yield heard
        finally:
            pubsub.close()

    def close(self) -> None:
        """Give the connections back."""
        try:
            self.client.close()
        except (redis.RedisError, OSError) as error:
            raise StepflowError(str(error)) from error
