"""
Refuses what blocks the thread while workflow code runs.

It comes past no loop, so the functions themselves are wrapped. An audit hook of Python's would see
more, but each audit event of the process would pay for it: a `ctx.step` a tenth of its time.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.misuse import running_frames


@cache
def watch_blocking() -> None:
    """
    Refuse what blocks the thread while workflow code runs, from the first workflow on.

    Code that took such a function out of its module before keeps the one without the check.
    """
    threading.Thread.start = _refusing_threads(threading.Thread.start)  # type: ignore[method-assign]
    time.sleep = _refusing(time.sleep, "time.sleep")
    socket.getaddrinfo = _refusing(socket.getaddrinfo, "socket.getaddrinfo")
    connect = _refusing(socket.socket.connect, "socket.connect")
    socket.socket.connect = connect  # type: ignore[method-assign]


def _refusing(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(function)
    def refusing(*args: Any, **kwargs: Any) -> Any:
        _refuse_blocking(name)
        return function(*args, **kwargs)

    return refusing


def _refusing_threads(start: Callable[..., Any]) -> Callable[..., Any]:
    """
    Refuse the threads that `anyio.to_thread` starts: what they answer would find no loop.

    A library may start others on its own behalf, as to send what is logged.
    """

    @wraps(start)
    def refusing(thread: threading.Thread) -> Any:
        if type(thread).__module__.startswith("anyio."):
            _refuse_blocking("anyio.to_thread")
        return start(thread)

    return refusing


def _refuse_blocking(name: str) -> None:
    """Refuse a call from workflow code; logging may send its lines wherever it is told to."""
    loop = asyncio._get_running_loop()  # noqa: SLF001  the way to ask without an error
    if isinstance(loop, WorkflowLoop) and not any(
        module == "logging" for _, module, _ in running_frames()
    ):
        loop.refuse(name)
