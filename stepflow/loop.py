"""The loop a worker lives on, which user code cannot end."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

try:
    import uvloop
except ImportError:
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
else:
    new_loop = uvloop.new_event_loop

T = TypeVar("T")

log = logging.getLogger("stepflow.worker")

#: seconds that tasks are given to end after the worker has left
WIND_UP_S = 1.0
#: times in a row that the loop itself may fail before it counts as broken
FALLS = 10


def run_on_loop(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """
    Run a coroutine on a fresh loop, uvloop's when it is installed, until it is done.

    Not `asyncio.run`: SystemExit or KeyboardInterrupt in any task, and `loop.stop()`, would end
    that before its time, and at its end it waits for tasks and threads for as long as they like.
    Raises CancelledError when the coroutine was cancelled.
    """
    loop = new_loop()
    asyncio.set_event_loop(loop)
    try:
        main = loop.create_task(work())
        _turn_until(loop, main)
        _turn_until(loop, loop.create_task(_wind_up()))
        return main.result()
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def _turn_until(loop: asyncio.AbstractEventLoop, main: asyncio.Task[Any]) -> None:
    """
    Turn the loop until *main* is done, whatever comes out of it meanwhile.

    The task that raised it keeps it as its own.
    """
    is_turning = True

    def stop(_: object) -> None:
        if is_turning:  # an end that came out of the loop is known before it is called back
            loop.stop()

    main.add_done_callback(stop)
    falls = 0
    while not main.done():
        turned = asyncio.Event()
        loop.call_soon(turned.set)
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            if not main.done():
                log.error(
                    "%s came out of a task or callback of user code, %s; the worker goes on",
                    *_shown(error),
                )
        except BaseException as error:  # a signal handler of user code, or the loop itself
            falls = 1 if turned.is_set() else falls + 1
            if falls == FALLS:
                log.critical(
                    "the worker's loop does not turn any more; did user code close its files?"
                )
                raise
            log.error("%s came out of the worker's loop, %s; it goes on", *_shown(error))
        else:
            if not main.done():
                log.error("user code stopped the worker's loop; the worker goes on")
    is_turning = False


def _shown(error: BaseException) -> tuple[str, str]:
    """Say what was raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    where = (
        f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}"
        if frames
        else "from an unknown place"
    )
    try:
        return repr(error), where
    except BaseException:  # noqa: BLE001  a __repr__ of user code
        return type(error).__name__, where


async def _wind_up() -> None:
    """
    Cancel what tasks are left and close what generators are.

    What does not end in time is left as it is.
    """
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    left.add(asyncio.ensure_future(asyncio.get_running_loop().shutdown_asyncgens()))
    _, late = await asyncio.wait(left, timeout=WIND_UP_S)
    if late:
        log.warning(
            "%s tasks of user code do not end though they were cancelled; left as they are",
            len(late),
        )
