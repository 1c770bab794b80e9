"""
Opening a connection, for every kind: async, sync, pub/sub, and redis-py for RQ.

The host name and the primary are looked up again at each connect. `dial` blocks, up to a time
limit; async code runs it in a thread.
"""

from __future__ import annotations

import array
import fcntl
import socket
import ssl
import termios
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any

from stepflow.store.connection.address import Address
from stepflow.store.connection.error_replies import refusal_of, refuse_errors
from stepflow.store.connection.sentinel import distrust, find_primary, is_primary
from stepflow.store.connection.thread_calls import run_in_thread

#: seconds without a reply after which a second connection is opened, to find out whether the first
#: is dead
PATIENCE_S = 2.0
#: TCP keepalive: seconds of silence before the first probe (its name differs by system), seconds
#: between probes, and unanswered probes after which the kernel drops the connection
_KEEPALIVE = (
    ("TCP_KEEPIDLE", 20),
    ("TCP_KEEPALIVE", 20),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
)

_HostPort = tuple[str, int]
_Row = tuple[int, int, int, str, Any]
#: name look-ups in progress: a resolver that hangs blocks one thread per name, not one per caller
_lookups: dict[_HostPort, Future[list[_Row]]] = {}
_lookups_lock = Lock()


@dataclass(slots=True)
class DialledSocket:
    """
    A connected socket, before the TLS and Redis handshakes.

    *tls* is None without TLS; *host* is the name that the server's certificate must match.
    """

    sock: socket.socket
    tls: ssl.SSLContext | None
    host: str

    @property
    def is_local(self) -> bool:
        """Whether it is a Unix socket."""
        return self.sock.family == socket.AF_UNIX

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def wrap_tls(self, timeout_s: float) -> socket.socket:
        """Return the socket to use, after the TLS handshake if TLS is on; closes it on failure."""
        self.sock.settimeout(timeout_s)
        if self.tls is None:
            return self.sock
        try:
            return self.tls.wrap_socket(self.sock, server_hostname=self.host)
        except BaseException:
            self.sock.close()
            raise


def dial(address: Address, timeout_s: float | None = None) -> DialledSocket:
    """Connect to *address* within *timeout_s*, by default its connect timeout; raises OSError."""
    until = time.monotonic() + (address.times.connect_s if timeout_s is None else timeout_s)
    if address.path is not None:
        made = socket.socket(socket.AF_UNIX)
        try:
            made.settimeout(_left(until))
            made.connect(address.path)
        except BaseException:
            made.close()
            raise
        return DialledSocket(made, None, "")
    try:
        context = address.ssl_context()
    except ValueError as error:  # certificate files changed since the URL was parsed
        raise OSError(str(error)) from None
    if address.service is not None:
        host, port = find_primary(
            address, lambda host_port, seconds: _open(host_port, context, seconds), until
        )
    else:
        host, port = address.host, address.port
    return DialledSocket(_connect((host, port), until), context, host)


def _open(host_port: _HostPort, context: ssl.SSLContext | None, timeout_s: float) -> socket.socket:
    """Connect to a sentinel."""
    return DialledSocket(
        _connect(host_port, time.monotonic() + timeout_s), context, host_port[0]
    ).wrap_tls(timeout_s)


def _connect(host_port: _HostPort, until: float) -> socket.socket:
    problem: OSError = OSError(f"{host_port[0]} has no address")
    for family, kind, proto, _, target in resolve(host_port, _left(until)):
        made = socket.socket(family, kind, proto)
        try:
            made.settimeout(_left(until))
            _keep_alive(made)
            made.connect(target)
        except OSError as error:
            made.close()
            problem = error
        else:
            return made
    raise problem


def _keep_alive(made: socket.socket) -> None:
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            with suppress(OSError):
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def resolve(host_port: _HostPort, timeout_s: float) -> list[_Row]:
    """
    Resolve a host and port to the rows of `socket.getaddrinfo`.

    Raises OSError; TimeoutError when the resolver takes longer than *timeout_s*.
    """
    with _lookups_lock:
        lookup = _lookups.get(host_port)
        if lookup is None:
            lookup = _lookups[host_port] = run_in_thread(lambda: _look_up(host_port))
    try:
        return lookup.result(timeout_s)
    except TimeoutError:
        raise TimeoutError(
            f"the name {host_port[0]} is not resolved within {timeout_s:.1f} s"
        ) from None


def _look_up(host_port: _HostPort) -> list[_Row]:
    try:
        return list(socket.getaddrinfo(*host_port, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise OSError(f"{host_port[0]!r} is not a host name") from None
    finally:
        with _lookups_lock:
            _lookups.pop(host_port, None)


def _left(until: float) -> float:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no connection in time")
    return left_s


def unsent(sock: Any) -> int:
    """
    Return how many sent bytes the other side has not acknowledged.

    A connection is alive while this number shrinks. 0 when the kernel cannot tell.
    """
    counted = array.array("i", [0])
    with suppress(OSError, ValueError):
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, counted)
    return counted[0]


def greeting(address: Address, name: str | None) -> list[tuple[str, ...]]:
    """
    Return the commands that open every connection: login, name and PING.

    With Sentinel they include ROLE, to verify that the server is the primary.
    """
    return [
        *address.handshake(name),
        *([("ROLE",)] if address.service is not None else []),
        ("PING",),
    ]


def check_greeting(address: Address, replies: Sequence[Any]) -> None:
    """
    Raise RedisRefused if the server rejected the greeting or is not the primary.

    *replies* are those to `greeting`, in order.
    """
    role = replies[-2] if address.service is not None else None
    refuse_errors([reply for reply in replies if reply is not role])
    if address.service is not None and not is_primary(role):
        distrust(address)
        raise refusal_of("READONLY the server that the sentinels name as the primary is not one")
