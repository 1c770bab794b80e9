"""`stepflow.current()`: the `ctx` of the workflow whose code is running."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar, overload

from greenlet import getcurrent

from stepflow.errors import InvalidOption
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.fiber import Fiber
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.sync_context import SyncContext

#: the kind of `ctx` that is wanted
C = TypeVar("C", Context, SyncContext)


@overload
def current() -> Context | SyncContext | None: ...
@overload
def current(kind: type[C]) -> C: ...
def current(kind: type[Any] | None = None) -> Context | SyncContext | None:
    """
    Return the `ctx` of the workflow whose code is running.

    Also in tasks that a library makes there. A plain `def` workflow has its SyncContext; coroutines
    in it, as under `ctx.run`, have a Context. None in the functions of steps, in runners and jobs,
    and outside.

    With `current(Context)`, or `current(SyncContext)`, it is one of those; InvalidOption is raised
    where there is none.
    """
    found = _found()
    if kind is None or type(found) is kind:
        return found
    asked = f"stepflow.current({kind.__name__}) was called "
    if found is not None:
        raise InvalidOption(f"{asked}where ctx is a {type(found).__name__}; ask for that")
    raise InvalidOption(
        f"{asked}where no code of a workflow runs, such as in the function of a step; call it in "
        "the workflow, and pass on what it is needed for"
    )


def _found() -> Context | SyncContext | None:
    loop = asyncio._get_running_loop()  # noqa: SLF001  the way to ask without an error
    if not isinstance(loop, WorkflowLoop) or not isinstance(loop.ctx, Context):
        return None
    return SyncContext(loop.ctx, loop) if isinstance(getcurrent(), Fiber) else loop.ctx
