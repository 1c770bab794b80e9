"""Which event loop of a thread runs: a workflow's own, within a turn of the worker's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

#: takes the running task of a loop away from it, or gives it back: from Python 3.14 on a thread has
#: one, and no loop can run another task until that is away; before, each loop has its own
_swap_task: Callable[[Any, Any], Any] | None = (
    vars(asyncio.tasks)["_swap_current_task"] if sys.version_info >= (3, 14) else None
)

#: what ran before: a loop, its task, and where async generators that are left in the middle came to
Outer = tuple[asyncio.AbstractEventLoop | None, Any, Any]


def run_as(
    loop: asyncio.AbstractEventLoop, close: Callable[[AsyncGenerator[Any, Any]], None]
) -> Outer:
    """
    Make *loop* the running one of this thread, and *close* what gets async generators left open.

    Returns what `run_again` takes back. asyncio has these functions for those who write loops.
    """
    outer, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001
    task = _swap_task(outer, None) if _swap_task and outer else None
    asyncio._set_running_loop(loop)  # noqa: SLF001
    sys.set_asyncgen_hooks(None, close)
    return outer, task, hooks


def run_again(outer: Outer) -> None:
    """Go back to what ran before `run_as`."""
    loop, task, hooks = outer
    sys.set_asyncgen_hooks(*hooks)
    asyncio._set_running_loop(loop)  # noqa: SLF001
    if _swap_task and task is not None:
        _swap_task(loop, task)
