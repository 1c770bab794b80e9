"""
Calls of `ctx` that a workflow made and never awaited.

Whether a future was awaited is not to be seen once it has its answer, and to note it for each would
cost every step. So an activation only notes that something may have been forgotten: an answer that
came while nobody waited for it. When the function has ended, such a run is replayed once more on a
loop whose futures tell.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextvars import Context
from typing import Any

from stepflow.engine.user_code.frames import is_users
from stepflow.kits.flow.answer import Answer
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.replay.misuse import Call, running_frames

#: where the methods of `ctx` are, and of the handles that they give out
_KIT, _MACHINERY = "stepflow.kits.flow.", "stepflow.kits.flow.replay."


class WatchedFuture(Answer):
    """A future that knows whether anybody has awaited it, and which call of `ctx` made it."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.call = _call_of_ctx()
        self.command: Command | None = None
        self.is_awaited = False

    def __await__(self) -> Generator[Any, None, Any]:
        self.is_awaited = True
        return super().__await__()

    __iter__ = __await__

    def add_done_callback(
        self, callback: Callable[[Any], object], /, *, context: Context | None = None
    ) -> None:
        self.is_awaited = True
        super().add_done_callback(callback, context=context)

    def result(self) -> Any:
        self.is_awaited = True
        return super().result()

    def exception(self) -> BaseException | None:
        self.is_awaited = True
        return super().exception()

    def done(self) -> bool:
        if is_users(sys._getframe(1).f_code.co_filename):  # noqa: SLF001  asyncio and we ask, too
            self.is_awaited = True  # to look whether it is there is a use of it
        return super().done()

    def cancel(self, msg: Any | None = None) -> bool:
        self.is_awaited = True  # given up on purpose
        return super().cancel(msg)

    @property
    def forgotten(self) -> str | None:
        """The call in words if nobody awaited it, else None."""
        if self.is_awaited or self.call is None:
            return None
        what = f"ctx.{self.call.name}" if self.command is None else self.command.describe()
        return f"{what} ({self.call.place})"


class WatchingLoop(WorkflowLoop):
    """A workflow's loop that keeps all its futures, to be asked whether they were awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.futures: list[WatchedFuture] = []

    def create_future(self) -> asyncio.Future[Any]:
        future = WatchedFuture(loop=self)
        self.futures.append(future)
        return future

    create_answer = create_future  # type: ignore[assignment]  # a WatchedFuture is an Answer


class GivenOut:
    """
    What `ctx` gave out to be awaited.

    It keeps those that no command answers: coroutines, and ends of children. *is_watched* is for
    the loop whose futures tell; then it also keeps where coroutines were made.
    """

    def __init__(self, *, is_watched: bool) -> None:
        self.is_watched = is_watched
        #: whether an answer came for which nobody waited
        self.may_forget = False
        self._given: list[Awaitable[Any]] = []
        self._calls: dict[int, Call | None] = {}

    def add(self, given: Awaitable[Any]) -> None:
        """Take in what no command answers."""
        self._given.append(given)
        if isinstance(given, WatchedFuture):
            given.is_awaited = False  # whoever made it may have added callbacks
        elif self.is_watched:
            self._calls[id(given)] = _call_of_ctx()

    def note(self, command: Command) -> None:
        """Take note of a command that was given out just now, on the loop whose futures tell."""
        if isinstance(command.future, WatchedFuture):
            command.future.command = command
            command.future.is_awaited = not command.has_to_be_awaited

    def may_be_forgotten(self, pending: Iterable[Command]) -> bool:
        """Whether anything may not have been awaited; *pending* has no answer yet."""
        return (
            self.may_forget
            or any(_may_be_forgotten(given) for given in self._given)
            or any(map(_is_left_alone, pending))
        )

    def forgotten(self, loop: asyncio.AbstractEventLoop) -> list[str]:
        """Name what nobody has awaited, in the order of the calls."""
        futures = loop.futures if isinstance(loop, WatchingLoop) else []
        found = [words for future in futures if (words := future.forgotten) is not None]
        for given in self._given:
            call = self._calls.get(id(given))
            if call is not None and _is_new(given):
                found.append(f"ctx.{call.name} ({call.place})")
        return found

    def close(self) -> None:
        """Close what was never begun: Python would warn of it, at any time later."""
        for given in self._given:
            if inspect.iscoroutine(given) and _is_new(given):
                given.close()


def _may_be_forgotten(given: Awaitable[Any]) -> bool:
    return not given.cancelled() if isinstance(given, asyncio.Future) else _is_new(given)


def _is_left_alone(command: Command) -> bool:
    """Whether nobody waits for a command that has no answer yet."""
    if not command.has_to_be_awaited:
        return False
    future: Any = command.future
    return not future.done() and not future._callbacks  # noqa: SLF001  nothing else tells


def detach(call: Awaitable[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Have *call* done although nobody awaits it: its error is of no interest."""
    asyncio.ensure_future(call, loop=loop).add_done_callback(
        lambda done: done.cancelled() or done.exception()
    )


def in_words(calls: Iterable[str]) -> str:
    """Say what was forgotten, and what to do; empty for nothing."""
    listed = ", ".join(calls)
    return listed and (
        f"the workflow made calls that it never awaited: {listed}; await each of them, or write "
        "ctx.detach(...) around one that may be left undone"
    )


def _is_new(given: Any) -> bool:
    return inspect.iscoroutine(given) and inspect.getcoroutinestate(given) == inspect.CORO_CREATED


def _call_of_ctx() -> Call | None:
    """Find the call of `ctx` in the user's code that is being made; None when there is none."""
    called = ""
    for code, module, line in running_frames():
        if is_users(code.co_filename):
            return Call(called, code.co_filename, line) if called else None
        if module.startswith(_KIT) and not module.startswith(_MACHINERY):
            called = code.co_name
    return None
