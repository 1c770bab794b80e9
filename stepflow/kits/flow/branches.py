"""Branches: the tasks of a workflow, each with the places of what it asks for."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any


class Branch:
    """
    One task of a workflow; counts the places of its steps and of the branches it starts.

    Timers have places of their own: code that gets a timeout keeps the places of its steps.
    *context* is the one that its task runs in, None where Python does not tell.
    """

    __slots__ = ("_count", "_timers", "context", "path")

    def __init__(self, path: str, context: contextvars.Context | None = None) -> None:
        self.path = path
        self.context = context
        self._count = self._timers = 0

    def next_place(self) -> str:
        """Take the next place of this branch."""
        place = f"{self.path}{self._count}"
        self._count += 1
        return place

    def next_timer(self) -> str:
        """Take the next place of a timer of this branch."""
        place = f"{self.path}t{self._timers}"
        self._timers += 1
        return place


class BranchTask(asyncio.Task[Any]):
    """
    A task of a workflow, which knows its *branch*.

    Its hash follows from when it was made, its *serial*: task groups keep their tasks in a set, and
    cancel them in the order in which that has them.
    """

    __slots__ = ("branch", "serial")

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        branch: Branch,
        serial: int,
        *,
        loop: asyncio.AbstractEventLoop,
        name: str | None,
    ) -> None:
        self.branch = branch
        self.serial = serial
        super().__init__(coro, loop=loop, name=name, context=branch.context)

    def __hash__(self) -> int:
        return self.serial
