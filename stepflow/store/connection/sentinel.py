"""
Sentinel: finds the current primary of a service.

Any sentinel may be down, and any may be out of date.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from stepflow.store.connection.address import Address, login_commands
from stepflow.store.connection.resp import ReplyError, encode_command, make_reader

#: seconds that one sentinel has to answer before the next is asked
_EACH_S = 1.0

_HostPort = tuple[str, int]
#: index of the sentinel to ask first: the one that answered last, unless it was wrong
_first: dict[tuple[_HostPort, ...], int] = {}


def find_primary(
    address: Address, connect: Callable[[_HostPort, float], socket.socket], until: float
) -> _HostPort:
    """
    Ask the sentinels of *address* in turn and return the primary's host and port.

    *until* is a `time.monotonic` time. Raises OSError with what each sentinel answered.
    """
    sentinels, answers = address.sentinels, []
    begin = _first.get(sentinels, 0)
    for turn in range(len(sentinels)):
        number = (begin + turn) % len(sentinels)
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        try:
            host_port = _ask(address, sentinels[number], connect, min(_EACH_S, left_s))
        except OSError as error:
            host, port = sentinels[number]
            answers.append(f"{host}:{port}: {str(error) or type(error).__name__}")
            continue
        _first[sentinels] = number
        return host_port
    raise OSError(f"no sentinel knows the primary of {address.service!r} ({'; '.join(answers)})")


def distrust(address: Address) -> None:
    """Ask another sentinel first next time, because this one named a wrong primary."""
    if address.service is not None:
        _first[address.sentinels] = (_first.get(address.sentinels, 0) + 1) % len(address.sentinels)


def is_primary(role: Any) -> bool:
    """Return whether the reply to ROLE is a primary's; True if this user may not call ROLE."""
    return isinstance(role, ReplyError) or (
        isinstance(role, list) and bool(role) and role[0] == b"master"
    )


def _ask(
    address: Address,
    sentinel: _HostPort,
    connect: Callable[[_HostPort, float], socket.socket],
    timeout_s: float,
) -> _HostPort:
    options = dict(address.options)
    commands = login_commands(options.get("sentinel_username"), options.get("sentinel_password"))
    commands.append(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", str(address.service)))
    with connect(sentinel, timeout_s) as sock:
        sock.settimeout(timeout_s)
        sock.sendall(b"".join(encode_command(command) for command in commands))
        reader = make_reader()
        replies: list[Any] = []
        while len(replies) < len(commands):
            data = sock.recv(65536)
            if not data:
                raise ConnectionError("hung up")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                replies.append(reply)
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise OSError(_with_advice(str(reply)))
    if not isinstance(replies[-1], list):
        raise OSError("knows no such service")
    host, port = replies[-1]
    return host.decode(), int(port)


def _with_advice(message: str) -> str:
    if "unknown command" in message:
        return "is no Sentinel; a plain Redis has a redis:// URL"
    return message
