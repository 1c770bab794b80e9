"""Tasks for user code, begun at once where Python can."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 12):

    def begin_task(
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, T],
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """
        Make a task on the running *loop* that is carried out up to its first wait right away.

        A step that waits for nothing saves a turn of the loop. Only tasks of ours are begun so:
        those that user code makes behave as everywhere.
        """
        return asyncio.Task(work, loop=loop, context=context, eager_start=True)

else:

    def begin_task(
        loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, T],
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Make a task on *loop*, which begins with the next turn of that."""
        return loop.create_task(work, context=context)
