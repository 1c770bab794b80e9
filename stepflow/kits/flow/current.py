"""`stepflow.current()`: the `ctx` of the workflow whose code is running."""

from __future__ import annotations

import asyncio

from greenlet import getcurrent

from stepflow.kits.flow.context import Context
from stepflow.kits.flow.replay.fiber import Fiber
from stepflow.kits.flow.replay.loop import WorkflowLoop
from stepflow.kits.flow.sync_context import SyncContext


def current() -> Context | SyncContext | None:
    """
    Return the `ctx` of the workflow whose code is running.

    Also in tasks that a library makes there. A plain `def` workflow has its SyncContext; coroutines
    in it, as under `ctx.run`, have a Context. None in the functions of steps, in runners and jobs,
    and outside.
    """
    loop = asyncio._get_running_loop()  # noqa: SLF001  the way to ask without an error
    if not isinstance(loop, WorkflowLoop) or not isinstance(loop.ctx, Context):
        return None
    return SyncContext(loop.ctx, loop) if isinstance(getcurrent(), Fiber) else loop.ctx
