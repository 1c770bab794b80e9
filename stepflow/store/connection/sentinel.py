"""
Sentinel: which server is the primary of a service now.

Any sentinel may be down, and any may be wrong.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from stepflow.store.connection.address import Address, login_commands
from stepflow.store.connection.resp import ReplyError, encode_command, make_reader

#: seconds that one sentinel is given: the others are asked after it
_EACH_S = 1.0

_Place = tuple[str, int]
#: the sentinel to ask first, by address: the one that answered last, until what it said was wrong
_first: dict[tuple[_Place, ...], int] = {}


def find_primary(
    address: Address, connect: Callable[[_Place, float], socket.socket], until: float
) -> _Place:
    """
    Ask the sentinels of *address*, one after the other, for its primary.

    Raises OSError that says what each answered.
    """
    sentinels, said = address.sentinels, []
    begin = _first.get(sentinels, 0)
    for turn in range(len(sentinels)):
        number = (begin + turn) % len(sentinels)
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        try:
            place = _ask(address, sentinels[number], connect, min(_EACH_S, left_s))
        except OSError as error:
            said.append(
                f"{sentinels[number][0]}:{sentinels[number][1]}: {str(error) or type(error).__name__}"
            )
            continue
        _first[sentinels] = number
        return place
    raise OSError(f"no sentinel knows the primary of {address.service!r} ({'; '.join(said)})")


def distrust(address: Address) -> None:
    """Ask another sentinel first next time: what was said to be the primary is none."""
    if address.service is not None:
        _first[address.sentinels] = (_first.get(address.sentinels, 0) + 1) % len(address.sentinels)


def is_primary(role: Any) -> bool:
    """Read the answer to ROLE; one who may not ask believes the sentinels."""
    return isinstance(role, ReplyError) or (
        isinstance(role, list) and bool(role) and role[0] == b"master"
    )


def _ask(
    address: Address,
    sentinel: _Place,
    connect: Callable[[_Place, float], socket.socket],
    timeout_s: float,
) -> _Place:
    options = dict(address.options)
    commands = login_commands(options.get("sentinel_username"), options.get("sentinel_password"))
    commands.append(("SENTINEL", "GET-MASTER-ADDR-BY-NAME", str(address.service)))
    with connect(sentinel, timeout_s) as wire:
        wire.settimeout(timeout_s)
        wire.sendall(b"".join(encode_command(command) for command in commands))
        reader = make_reader()
        replies: list[Any] = []
        while len(replies) < len(commands):
            data = wire.recv(65536)
            if not data:
                raise ConnectionError("hung up")
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                replies.append(reply)
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise OSError(_in_words(str(reply)))
    if not isinstance(replies[-1], list):
        raise OSError("knows no such service")
    host, port = replies[-1]
    return host.decode(), int(port)


def _in_words(message: str) -> str:
    if "unknown command" in message:
        return "is no Sentinel; a plain Redis has a redis:// URL"
    return message
