"""Ports for servers that are told theirs before they start."""

from __future__ import annotations

import atexit
import random
import socket

#: ports that no system gives to connections; servers on them are found out by asking
_PORTS = range(20_000, 32_000)
#: what says to other test processes that a port is taken, by the port
_taken: dict[int, socket.socket] = {}


def free_port() -> int:
    """
    Give a port of 127.0.0.1 that nobody listens to, and that is this process's until it ends.

    One that a system picks for whoever asks is given to the next connection as well, before a
    server that was told of it has started.
    """
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if port not in _taken and _take(port):
            return port
    msg = f"no port of {_PORTS} is free"
    raise OSError(msg)


def _take(port: int) -> bool:
    mark = socket.socket(socket.AF_UNIX)
    try:
        mark.bind(f"\0stepflow-tests-{port}")  # a name in no folder, gone with the process
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        mark.close()
        return False
    _taken[port] = mark
    return True


@atexit.register
def _let_go() -> None:
    for mark in _taken.values():
        mark.close()
