"""The `ctx` of a plain `def` workflow: the same methods, which block instead of being awaited."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.fiber import current_fiber, run_all, run_plain
from stepflow.kits.flow.replay.loop import WorkflowLoop

P = ParamSpec("P")
T = TypeVar("T")

#: where the objects come from whose methods are to block as well: handles, variables
_OURS = "stepflow.kits."


def _blocking(
    method: Callable[Concatenate[Context, P], Awaitable[T]],
) -> Callable[Concatenate[SyncContext, P], T]:
    """Make a method that is awaited one that blocks."""

    @functools.wraps(method)
    def block(self: SyncContext, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return current_fiber(self._loop).wait(method(self._of, *args, **kwargs))

    return block


def _same(method: Callable[Concatenate[Context, P], T]) -> Callable[Concatenate[SyncContext, P], T]:
    """Make a method that answers at once."""

    @functools.wraps(method)
    def answer(self: SyncContext, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return method(self._of, *args, **kwargs)

    return answer


class _Blocking:
    """
    Stands for an object of ours in plain code.

    What is awaited of it blocks, whatever methods it has.
    """

    def __init__(self, of: Any, loop: WorkflowLoop) -> None:
        self._of = of
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        if not inspect.isroutine(value):
            return self._plain(value)

        @functools.wraps(value)
        def call(*args: Any, **kwargs: Any) -> Any:
            current_fiber(self._loop)
            return self._plain(value(*args, **kwargs))

        return call

    def _plain(self, value: Any) -> Any:
        """Return what plain code can use: the result of an awaitable, objects that block."""
        if inspect.isawaitable(value):
            value = current_fiber(self._loop).wait(value)
        return _Blocking(value, self._loop) if type(value).__module__.startswith(_OURS) else value


class SyncContext(_Blocking):
    """
    The plain workflow's side of its run: `Context`, but each call returns its value.

    Everything here is remembered: on replay it answers at once, with what it answered first. Code
    between the calls runs on the worker's loop: it may compute, but what takes time belongs into a
    step. Methods that do not stand here are those of `Context`, blocking.
    """

    _of: Context

    step = _blocking(Context.step)
    sleep = _blocking(Context.sleep)
    sleep_until = _blocking(Context.sleep_until)
    wait_for_signal = _blocking(Context.wait_for_signal)
    poll = _blocking(Context.poll)
    now = _same(Context.now)
    random = _same(Context.random)
    uuid = _same(Context.uuid)

    def parallel(self, *calls: Callable[[], T]) -> list[T]:
        """
        Run calls side by side; returns their values in order.

        `ctx.parallel(partial(ctx.step, "a", read, 1), ...)`. Each is a function without parameters,
        which may make several `ctx` calls. When one raises, the others are cancelled and its error
        is raised.
        """
        return current_fiber(self._loop).wait(run_all(calls, self._loop)) if calls else []


async def carry_plain(
    function: Callable[..., T], ctx: Context, loop: WorkflowLoop, *args: Any
) -> T:
    """Run plain workflow *function* with the blocking side of *ctx*, as a coroutine of *loop*."""
    return await run_plain(lambda: function(SyncContext(ctx, loop), *args), loop)
