"""How code of a workflow ends that is put aside: its run goes on from the top, somewhere else."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
from collections.abc import Iterable, Iterator
from typing import Any

#: times that code which waits in its cleanup hears that it is evicted
_MOST_ENDS = 1000


class Evicted(BaseException):
    """
    Ends workflow code that is evicted.

    Its run waits, and goes on from the top in another activation.
    """


def put_aside(
    task: asyncio.Task[Any],
    context: contextvars.Context | None,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """
    End the code of *task* of *loop*, in its own context: `finally` may reset a variable there.

    It hears of it where it waits, and again where it waits in its cleanup. Closed, it would leave
    an async generator that it reads in the middle of its cleanup (before Python 3.13); that would
    go on whenever it is collected, in the task of whichever run that is.
    """
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  it is meant to go
    coro = task.get_coro()
    run = (contextvars.copy_context() if context is None else context).run
    for _ in range(_MOST_ENDS):
        with _as_current(loop, task), contextlib.suppress(BaseException):
            if getattr(coro, "cr_suspended", False):
                run(coro.throw, Evicted())
            else:
                run(coro.close)
        if getattr(coro, "cr_frame", None) is None:
            return


def forget_in_anyio(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """
    Take what anyio knows of *tasks*, which were put aside, away from it.

    It has that in a dictionary of weak keys, until a callback of each task that ends; these never
    end, and what it knows of one leads to the task itself, so nothing would ever be collected.
    """
    states = getattr(sys.modules.get("anyio._backends._asyncio"), "_task_states", None)
    if states:
        for task in tasks:
            states.pop(task, None)


@contextlib.contextmanager
def _as_current(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> Iterator[None]:
    """Have *task* be the present one: scopes and locks of anyio let go of it in no other."""
    before = asyncio.current_task(loop)
    if before is not None:
        asyncio.tasks._leave_task(loop, before)  # noqa: SLF001  the pair for those who write tasks
    asyncio.tasks._enter_task(loop, task)  # noqa: SLF001
    try:
        yield
    finally:
        asyncio.tasks._leave_task(loop, task)  # noqa: SLF001
        if before is not None:
            asyncio.tasks._enter_task(loop, before)  # noqa: SLF001
