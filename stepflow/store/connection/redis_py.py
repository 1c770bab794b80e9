"""
redis-py's side.

The client that RQ is given, and the link's connections over a client that is there, real or fake.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stepflow.errors import RedisUnreachable
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import dial
from stepflow.store.connection.error_replies import refusal_of
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.resp import ReplyError
from stepflow.store.connection.sentinel import distrust, is_primary

#: the words that redis-py turns into classes
_WORDS = {
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.MaxConnectionsError: "MAXCLIENTS",
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.exceptions.NoScriptError: "NOSCRIPT",
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.TryAgainError: "TRYAGAIN",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
}


def _as_answered(error: redis.RedisError) -> str | None:
    """
    Give Redis's answer whole: redis-py makes a class of the first word and takes it off.

    None for what is no answer.
    """
    words = str(error)
    for kind, word in _WORDS.items():
        if isinstance(error, kind):
            return words if words.startswith(word) else f"{word} {words}"
    if isinstance(error, redis.AuthenticationError):
        return f"{'NOAUTH' if 'required' in words else 'WRONGPASS'} {words}"
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return None
    return words


@contextmanager
def redis_errors_as_ours(address: Address) -> Iterator[None]:
    """Turn what redis-py raises in the block, where others call it, into our errors."""
    try:
        yield
    except redis.RedisError as error:
        answer = _as_answered(error)
        if answer is None:
            raise RedisUnreachable(address.shown, redacted(str(error))) from None
        raise refusal_of(answer) from None


class _AddressConnection(redis.Connection):
    """
    A connection that is made as all of ours are.

    One that finds itself at a replica is dropped, and made anew.
    """

    def __init__(self, *, address: Address, **options: Any) -> None:
        self._address = address
        super().__init__(  # type: ignore[no-untyped-call]
            host=address.host, port=address.port, redis_connect_func=_greet, **options
        )

    def _connect(self) -> Any:
        timeout_s = self._address.times.connect_s
        sock = dial(self._address, timeout_s).wrapped(timeout_s)
        sock.settimeout(self.socket_timeout)
        return sock

    def _host_error(self) -> str:
        return self._address.shown

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read an answer."""
        try:
            return super().read_response(*args, **options)
        except redis.exceptions.ReadOnlyError:
            distrust(self._address)
            self.disconnect()  # type: ignore[no-untyped-call]
            raise


def _greet(connection: _AddressConnection) -> None:
    connection.on_connect()  # type: ignore[no-untyped-call]
    address = connection._address  # noqa: SLF001  its other half
    if address.service is None:
        return
    connection.send_command("ROLE")  # type: ignore[no-untyped-call]
    try:
        role = connection.read_response()
    except redis.exceptions.NoPermissionError:
        return
    if not is_primary(role):
        distrust(address)
        raise redis.exceptions.ReadOnlyError(
            "what the sentinels said to be the primary is none yet, or no more"
        )


def connect(address: Address, *, reply_timeout_s: float | None = None) -> Any:
    """
    Make the one kind of redis-py client we use.

    It never retries on its own, every time limit is explicit.
    """
    return redis.Redis.from_pool(
        redis.ConnectionPool(
            connection_class=_AddressConnection,
            address=address,
            db=address.db,
            username=address.username,
            password=address.password,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=address.times.connect_s,
            socket_timeout=address.times.reply_s if reply_timeout_s is None else reply_timeout_s,
            health_check_interval=0,
            protocol=2,
        )
    )


class RedisPySocket:
    """One connection of a redis-py client; what it raises is what a connection of ours would."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def send(self, data: bytes, until: float) -> None:
        """Write all of *data*."""
        del until
        with _reply_errors_as_ours():
            self.connection.send_packed_command([data])

    def read(self, until: float) -> Any:
        """Give the next reply, an error as a ReplyError."""
        del until
        try:
            return self.connection.read_response()
        except redis.RedisError as error:
            answer = _as_answered(error)
            if answer is None:
                raise ConnectionError(str(error)) from None
            return ReplyError(answer)

    def close(self) -> None:
        """Hang up."""
        self.connection.disconnect()


@contextmanager
def _reply_errors_as_ours() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        answer = _as_answered(error)
        if answer is None:
            raise ConnectionError(str(error)) from None
        raise refusal_of(answer) from None


class RedisPyPool:
    """The connections of a redis-py client."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def take(self, until: float) -> RedisPySocket:
        """Give one of its connections."""
        del until
        with _reply_errors_as_ours():
            return RedisPySocket(self.client.connection_pool.get_connection())

    def give_back(self, socket: Any) -> None:
        """Give it back."""
        self.client.connection_pool.release(socket.connection)

    def close_idle(self) -> None:
        """Hang up."""
        with suppress(redis.RedisError, OSError):
            self.client.close()

    @contextmanager
    def listening(self, channel: str) -> Iterator[Callable[[float], None]]:
        """Listen to a channel."""
        pubsub = self.client.pubsub(ignore_subscribe_messages=True)

        def wait_for_message(timeout_s: float) -> None:
            try:
                pubsub.get_message(timeout=timeout_s)
            except (redis.RedisError, OSError):
                time.sleep(min(timeout_s, 0.1))

        try:
            with suppress(redis.RedisError, OSError):
                pubsub.subscribe(channel)
            yield wait_for_message
        finally:
            pubsub.close()
