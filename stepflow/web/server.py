"""The API as a process of its own: a uvicorn that leaves within seconds of SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn
from starlette.applications import Starlette

from stepflow.web.access import LOOPBACK
from stepflow.web.incoming import HEAD_BYTES

#: seconds that requests have to end after SIGTERM
GRACE_S = 2


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


def listen(host: str, port: int) -> socket.socket:
    """Open the socket; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def serve(
    api: Starlette,
    sock: socket.socket,
    *,
    ready: Callable[[], None],
    leaving: Callable[[], None],
) -> None:
    """
    Serve *api* on *sock* until SIGTERM or SIGINT, at which *leaving* is called.

    *ready* is called once a signal means that.
    """
    config = uvicorn.Config(
        api,
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=GRACE_S,
    )
    _Server(config, ready, leaving).run(sockets=[sock])


class _Server(uvicorn.Server):
    """Ends with exit code 0 at a signal, once its requests have ended."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], leaving: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready, self._leaving = ready, leaving

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave)
        self._ready()
        yield

    def _leave(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        self._leaving()
