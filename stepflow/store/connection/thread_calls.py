"""
Blocking calls, each in a daemon thread of its own, for what it takes to connect.

The loop's thread pool is small, and user code may fill it for minutes. A call to the resolver
cannot be cancelled, and the process must be able to exit without waiting for it.
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
    Call *function* in a new daemon thread and return a future of its result.

    A result that arrives after the future was cancelled is passed to *drop*.
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
    Call *function* in a new daemon thread and await its result.

    If the caller is cancelled, the result is passed to *drop*.
    """
    return await asyncio.wrap_future(run_in_thread(function, drop=drop))


def _call(function: Callable[[], T], future: Future[T], drop: Callable[[T], object] | None) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  passed on through the future
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
        return
    if future.set_running_or_notify_cancel():
        future.set_result(result)
    elif drop is not None:
        drop(result)
