"""
Blocking calls in a daemon thread of their own.

For what the runtime needs to stay connected. The loop's thread pool has a few threads and user code
may fill it for minutes; a call to the resolver cannot be given up, and nobody's leaving may wait
for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import TypeVar

T = TypeVar("T")


def run_in_thread(
    function: Callable[[], T], *, drop: Callable[[T], object] | None = None
) -> Future[T]:
    """
    Call *function* in a thread of its own.

    A result that comes after the future was cancelled is given to *drop*.
    """
    future: Future[T] = Future()
    Thread(
        target=_call, args=(function, future, drop), name="stepflow-connect", daemon=True
    ).start()
    return future


async def await_in_thread(
    function: Callable[[], T], *, drop: Callable[[T], object] | None = None
) -> T:
    """
    Await *function*, called in a thread of its own.

    Its result is given to *drop* when nobody waits any more.
    """
    return await asyncio.wrap_future(run_in_thread(function, drop=drop))


def _call(function: Callable[[], T], future: Future[T], drop: Callable[[T], object] | None) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  whoever waits is told
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
        return
    if future.set_running_or_notify_cancel():
        future.set_result(result)
    elif drop is not None:
        drop(result)
