"""
Refuses what blocks the thread while workflow code runs.

It comes past no loop: Python tells of it by audit events.
"""

from __future__ import annotations

import asyncio
import sys
import time
from functools import cache
from typing import SupportsIndex

from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.misuse import running_frames

#: what blocks the thread, as Python's audit events call it
_BLOCKING = frozenset({"socket.connect", "socket.getaddrinfo", "time.sleep"})
#: Python tells of time.sleep from this version on
_TELLS_OF_SLEEP = (3, 13)


@cache
def watch_blocking() -> None:
    """
    Refuse what blocks the thread while workflow code runs, from the first workflow on.

    Logging may send its lines wherever it is told to.
    """
    sys.addaudithook(_refuse_blocking)
    if sys.version_info < _TELLS_OF_SLEEP:
        sleep = time.sleep

        def refusing_sleep(seconds: float | SupportsIndex, /) -> None:
            _refuse_blocking("time.sleep", ())
            sleep(seconds)

        time.sleep = refusing_sleep


def _refuse_blocking(event: str, args: object) -> None:
    del args
    if event not in _BLOCKING:
        return
    loop = asyncio._get_running_loop()  # noqa: SLF001  the way to ask without an error
    if isinstance(loop, WorkflowLoop) and not any(
        module == "logging" for _, module, _ in running_frames()
    ):
        loop.refuse(event)
