"""Which call of workflow code a replay could not repeat, and where it stands."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Iterator
from types import CodeType
from typing import Any, NamedTuple

from stepflow.engine.user_code.frames import is_ours, is_users

#: the method of the workflow's loop that runs what is ready
_TURN = "run_ready"


class Call(NamedTuple):
    """A call in the user's code: what is called, and where."""

    name: str
    file: str
    line: int
    #: what a library calls in its turn, in a task of its own
    by_way_of: str = ""

    @property
    def place(self) -> str:
        """The line and the file in words, which is relative to the working directory if it can."""
        way = f", by way of {self.by_way_of}" if self.by_way_of else ""
        return f"line {self.line} of {os.path.relpath(self.file)}{way}"


def find_call(tasks: Iterable[asyncio.Task[Any]], otherwise: str) -> Call | None:
    """
    Find the call of the user's code that is being made; None when no code of theirs is there.

    A library may make it in a task of its own: then it is the call that one of *tasks*, the
    branches of the workflow, waits for. *otherwise* is the name of what is called without a Python
    frame.
    """
    found = _innermost(running_frames(), otherwise)
    if found is not None:
        return found
    for task in tasks:
        found = _innermost(reversed(list(_waiting(task.get_coro()))), otherwise)
        if found is not None:
            return found._replace(by_way_of=_public_library_call(running_frames(), otherwise))
    return None


def _public_library_call(frames: Iterable[tuple[CodeType, str, int]], otherwise: str) -> str:
    """Name the first function of a library among *frames*, from the inside, that is public."""
    for code, module, _ in frames:
        name = f"{module}.{code.co_qualname}"
        if not is_ours(code.co_filename) and "._" not in name:
            return _public_name(module, code.co_qualname)
    return otherwise


def _innermost(frames: Iterable[tuple[CodeType, str, int]], otherwise: str) -> Call | None:
    """Return the first frame of the user's among *frames*, from the inside, and what it calls."""
    called = otherwise
    for code, module, line in frames:
        if is_users(code.co_filename):
            return Call(called, code.co_filename, line)
        if not is_ours(code.co_filename):
            called = _public_name(module, code.co_qualname)
    return None


def _public_name(module: str, name: str) -> str:
    """Return the name of a function as you write it: of the outermost package that has it."""
    parts, first = module.split("."), name.partition(".")[0]
    for end in range(1, len(parts)):
        package = ".".join(parts[:end])
        if hasattr(sys.modules.get(package), first):
            return f"{package}.{name}"
    return f"{module}.{name}"


def running_frames() -> Iterator[tuple[CodeType, str, int]]:
    """Give the frames of the workflow's code that runs, the innermost first."""
    frame = sys._getframe(1)  # noqa: SLF001  the way to one's own frames
    while frame is not None:
        if frame.f_code.co_name == _TURN and is_ours(frame.f_code.co_filename):
            return  # what runs the workflow's loop is no business of its code
        yield frame.f_code, str(frame.f_globals.get("__name__", "")), frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]


def _waiting(coro: Any) -> Iterator[tuple[CodeType, str, int]]:
    """Give the frames of a coroutine that waits, the outermost first."""
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None)
        if frame is None:
            return
        yield frame.f_code, str(frame.f_globals.get("__name__", "")), frame.f_lineno
        coro = getattr(coro, "cr_await", None) or getattr(coro, "gi_yieldfrom", None)
