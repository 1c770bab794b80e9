"""
How a connection is made.

The one way, for the async link, the listener, the blocking link, and redis-py where RQ wants it.

Name and primary are looked up at every connect. Blocking, within a time limit; the loop has it done
aside.
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

#: seconds that an answer may be owed before a fresh connection is made to see whether this one is
#: dead
PATIENCE_S = 2.0
#: seconds of silence, between two looks of the kernel, and looks, after which it calls a connection
#: dead that nobody uses
_KEEPALIVE = (
    ("TCP_KEEPIDLE", 20),
    ("TCP_KEEPALIVE", 20),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
)

_Place = tuple[str, int]
_Row = tuple[int, int, int, str, Any]
#: look-ups in progress: a name whose server does not answer holds one thread, however often it is
#: asked
_lookups: dict[_Place, Future[list[_Row]]] = {}
_lookups_lock = Lock()


@dataclass(slots=True)
class DialledSocket:
    """
    A connected socket, not yet greeted.

    With TLS the context to wrap it in and the name that the other side must prove.
    """

    sock: socket.socket
    tls: ssl.SSLContext | None
    host: str

    @property
    def is_local(self) -> bool:
        """Whether it is a Unix socket."""
        return self.sock.family == socket.AF_UNIX

    def close(self) -> None:
        """Let it go."""
        self.sock.close()

    def wrapped(self, timeout_s: float) -> socket.socket:
        """Give the socket to talk over, TLS agreed on if there is any."""
        self.sock.settimeout(timeout_s)
        if self.tls is None:
            return self.sock
        try:
            return self.tls.wrap_socket(self.sock, server_hostname=self.host)
        except BaseException:
            self.sock.close()
            raise


def dial(address: Address, timeout_s: float | None = None) -> DialledSocket:
    """Connect to *address* within *timeout_s*, else its connect timeout; raises OSError."""
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
    except ValueError as error:  # files that were there when the URL was read
        raise OSError(str(error)) from None
    if address.service is not None:
        host, port = find_primary(
            address, lambda place, seconds: _open(place, context, seconds), until
        )
    else:
        host, port = address.host, address.port
    return DialledSocket(_connect((host, port), until), context, host)


def _open(place: _Place, context: ssl.SSLContext | None, timeout_s: float) -> socket.socket:
    """Connect to a sentinel."""
    return DialledSocket(_connect(place, time.monotonic() + timeout_s), context, place[0]).wrapped(
        timeout_s
    )


def _connect(place: _Place, until: float) -> socket.socket:
    problem: OSError = OSError(f"{place[0]} has no address")
    for family, kind, proto, _, target in resolve(place, _left(until)):
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


def resolve(place: _Place, timeout_s: float) -> list[_Row]:
    """
    Give the addresses of a host name.

    Raises OSError, TimeoutError when the resolver does not answer in time.
    """
    with _lookups_lock:
        lookup = _lookups.get(place)
        if lookup is None:
            lookup = _lookups[place] = run_in_thread(lambda: _look_up(place))
    try:
        return lookup.result(timeout_s)
    except TimeoutError:
        raise TimeoutError(
            f"the name {place[0]} is not resolved within {timeout_s:.1f} s"
        ) from None


def _look_up(place: _Place) -> list[_Row]:
    try:
        return list(socket.getaddrinfo(*place, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise OSError(f"{place[0]!r} is not a host name") from None
    finally:
        with _lookups_lock:
            _lookups.pop(place, None)


def _left(until: float) -> float:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no connection in time")
    return left_s


def unsent(sock: Any) -> int:
    """
    Say how many bytes the kernel holds that the other side has not confirmed.

    While they shrink, a connection lives.
    """
    counted = array.array("i", [0])
    with suppress(OSError, ValueError):
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, counted)
    return counted[0]


def greeting(address: Address, name: str | None) -> list[tuple[str, ...]]:
    """
    Give the commands that a fresh connection begins with.

    Where sentinels said who it is, that is asked as well.
    """
    return [
        *address.handshake(name),
        *([("ROLE",)] if address.service is not None else []),
        ("PING",),
    ]


def check_greeting(address: Address, replies: Sequence[Any]) -> None:
    """
    Raise RedisRefused for a server that did not let us in, or that is not the primary the sentinels
    said it is.
    """
    role = replies[-2] if address.service is not None else None
    refuse_errors([reply for reply in replies if reply is not role])
    if address.service is not None and not is_primary(role):
        distrust(address)
        raise refusal_of(
            "READONLY what the sentinels said to be the primary is none yet, or no more"
        )
