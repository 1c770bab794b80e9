"""Where code is right now: in a task that waits, in the thread that works for it, on the loop."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Iterable, Iterator
from itertools import dropwhile
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

from stepflow.engine.user_code.frames import is_ours, is_users
from stepflow.worker.threads import Threads

#: frames of a stack that are told, the innermost ones
MOST_FRAMES = 40
#: awaitables that are followed, one inside the other
_DEEPEST = 1000

#: a frame that waits, and the number of the line it is at
_Place = tuple[FrameType, int]


def stack_of_task(task: asyncio.Task[Any], threads: Threads) -> tuple[list[str], bool]:
    """
    Give where the code of a suspended task is, and whether a thread works for it.

    May be called in any thread.
    """
    places: list[_Place] = []
    for part in _awaited(task):
        if isinstance(part, FrameType):
            places.append((part, part.f_lineno))
            continue
        thread = threads.thread_of(part)
        if thread is not None:
            inside = _places_of_thread(thread)
            if threads.thread_of(part) == thread:  # it has not gone on to something else meanwhile
                return _told(places + inside), True
    return _told(places), False


def stack_of_loop(loop_thread: int) -> list[str]:
    """Give where the code is that the loop is running right now; asked in another thread."""
    places = _places_of_thread(loop_thread)
    began = [number for number, (frame, _) in enumerate(places) if _turns_loop(frame)]
    return _told(places[began[-1] + 1 :] if began else places)


def _turns_loop(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_name == "_turn_until" and is_ours(code.co_filename)


def _awaited(task: asyncio.Task[Any]) -> Iterator[FrameType | asyncio.Future[Any]]:
    """Give the frames of a task from the outermost on, with the futures and tasks in between."""
    part: object = task.get_coro()
    for _ in range(_DEEPEST):
        match part:
            case None:
                return
            case CoroutineType():
                frame, inner = part.cr_frame, part.cr_await
            case GeneratorType():
                frame, inner = part.gi_frame, part.gi_yieldfrom
            case AsyncGeneratorType():
                frame, inner = part.ag_frame, part.ag_await
            case asyncio.Task():
                frame, inner = None, part.get_coro()
            case asyncio.Future():
                yield part
                frame, inner = None, _first_pending(part)
            case _:  # what stands between: it has no attribute that leads on
                frame, inner = None, _behind(part)
        if frame is not None:
            yield frame
        part = inner


def _first_pending(part: asyncio.Future[Any]) -> object:
    """Give the first that a future of `asyncio.gather` still waits for."""
    children: Iterable[asyncio.Future[Any]] = getattr(part, "_children", ())
    return next((child for child in children if not child.done()), None)


def _behind(part: object) -> object:
    """Give what an awaitable of Python's own waits for, such as the `asend` of a generator."""
    kinds = (CoroutineType, GeneratorType, AsyncGeneratorType, asyncio.Future)
    return next((each for each in gc.get_referents(part) if isinstance(each, kinds)), None)


def _places_of_thread(thread: int) -> list[_Place]:
    frame = sys._current_frames().get(thread)  # noqa: SLF001  the one way to another thread's stack
    places: list[_Place] = []
    while frame is not None:
        places.append((frame, frame.f_lineno))
        frame = frame.f_back
    return places[::-1]


def _told(places: Iterable[_Place]) -> list[str]:
    """Write a stack without what is stepflow's at either end; whole where it has nothing else."""
    whole = list(places)
    users = list(dropwhile(lambda place: not is_users(_file(place)), whole))
    while users and is_ours(_file(users[-1])):
        users.pop()
    return [
        f"{_file((frame, line))}:{line} {frame.f_code.co_qualname}"
        for frame, line in (users or whole)[-MOST_FRAMES:]
    ]


def _file(place: _Place) -> str:
    return place[0].f_code.co_filename
