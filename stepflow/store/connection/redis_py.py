"""
Connections through redis-py: the client that RQ needs, and sync calls over a given client.

Everything goes through one Address, as in the rest of this package.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakKeyDictionary

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from stepflow.errors import RedisUnreachable
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import dial
from stepflow.store.connection.error_replies import refusal_of
from stepflow.store.connection.loading import LoadedScripts
from stepflow.store.connection.redact import redacted
from stepflow.store.connection.resp import ReplyError
from stepflow.store.connection.sentinel import distrust, is_primary

#: the error words that redis-py turns into exception classes
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
    Restore the error reply as Redis sent it, or None for any other error.

    redis-py strips the first word of a reply when it has an exception class for it.
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
    """Turn redis-py exceptions of the block into RedisUnreachable or RedisRefused."""
    try:
        yield
    except redis.RedisError as error:
        answer = _as_answered(error)
        if answer is None:
            raise RedisUnreachable(address.shown, redacted(str(error))) from None
        raise refusal_of(answer) from None


class _AddressConnection(redis.Connection):
    """
    A redis-py connection that connects through `dial`, to an Address.

    It disconnects when the server turns out to be a replica, so that the next use reconnects.
    """

    def __init__(self, *, address: Address, **options: Any) -> None:
        self._address = address
        super().__init__(  # type: ignore[no-untyped-call]
            host=address.host, port=address.port, redis_connect_func=_greet, **options
        )

    def _connect(self) -> Any:
        timeout_s = self._address.times.connect_s
        sock = dial(self._address, timeout_s).wrap_tls(timeout_s)
        sock.settimeout(self.socket_timeout)
        return sock

    def _host_error(self) -> str:
        return self._address.shown

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply; disconnects on READONLY before raising it."""
        try:
            return super().read_response(*args, **options)
        except redis.exceptions.ReadOnlyError:
            distrust(self._address)
            self.disconnect()  # type: ignore[no-untyped-call]
            raise


def _greet(connection: _AddressConnection) -> None:
    connection.on_connect()  # type: ignore[no-untyped-call]
    address = connection._address  # noqa: SLF001  called only by _AddressConnection
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
            "the server that the sentinels name as the primary is not one"
        )


def connect(address: Address, *, reply_timeout_s: float | None = None) -> Any:
    """
    Return a redis-py client for *address*.

    It never retries and sets every time limit; *reply_timeout_s* defaults to that of the address.
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
    """The Socket protocol over a redis-py connection: same results, same exceptions."""

    def __init__(self, connection: Any, loaded: LoadedScripts) -> None:
        self.connection = connection
        self.loaded = loaded

    def send(self, data: bytes, until: float) -> None:
        """Write all of *data*."""
        del until
        with _reply_errors_as_ours():
            self.connection.send_packed_command([data])

    def read(self, until: float) -> Any:
        """Return the next reply, an error reply as a ReplyError; raises OSError."""
        del until
        try:
            return self.connection.read_response()
        except redis.RedisError as error:
            answer = _as_answered(error)
            if answer is None:
                raise ConnectionError(str(error)) from None
            return ReplyError(answer)

    def close(self) -> None:
        """Disconnect."""
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
    """The Pool protocol over a redis-py client."""

    def __init__(self, client: Any) -> None:
        self.client = client
        #: what was sent over each socket: a connection of redis-py gets another when it is lost
        self._loaded: WeakKeyDictionary[Any, LoadedScripts] = WeakKeyDictionary()

    def take(self, until: float) -> RedisPySocket:
        """Return a connection of the client."""
        del until
        with _reply_errors_as_ours():
            connection = self.client.connection_pool.get_connection()
        of_socket = getattr(connection, "_sock", None) or connection
        return RedisPySocket(connection, self._loaded.setdefault(of_socket, {}))

    def give_back(self, sock: Any) -> None:
        """Return a connection to the client's pool."""
        self.client.connection_pool.release(sock.connection)

    def close_idle(self) -> None:
        """Close the client."""
        with suppress(redis.RedisError, OSError):
            self.client.close()

    @contextmanager
    def listening(self, *channels: str) -> Iterator[Callable[[float], None]]:
        """Listen to channels; see `Pool.listening`."""
        pubsub = self.client.pubsub(ignore_subscribe_messages=True)

        def wait_for_message(timeout_s: float) -> None:
            try:
                pubsub.get_message(timeout=timeout_s)
            except (redis.RedisError, OSError):
                time.sleep(min(timeout_s, 0.1))

        try:
            with suppress(redis.RedisError, OSError):
                pubsub.subscribe(*channels)
            yield wait_for_message
        finally:
            pubsub.close()
