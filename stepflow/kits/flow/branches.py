"""Branches: the tasks of a workflow, each with the places of what it asks for."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any


class Branch:
    """
    One task of a workflow; counts the places of its steps and of the branches it starts.

    Timers have places of their own: code that gets a timeout keeps the places of its steps.
    *context* is the one that its task runs in, None where Python does not tell.
    """

    __slots__ = ("_count", "_detour", "_timers", "context", "path")

    def __init__(self, path: str, context: contextvars.Context | None = None) -> None:
        self.path = path
        self.context = context
        self._count = self._timers = 0
        self._detour: Branch | None = None

    def turn_off(self) -> Callable[[], None]:
        """
        Take one place, and all others below it until the returned function is called.

        For the code of a library that makes as many tasks as it likes, another number in its next
        version: what comes after it keeps its places.
        """
        if self._detour is not None:
            return self._detour.turn_off()
        self._detour = Branch(f"{self.next_place()}.")
        return self._turn_back

    def _turn_back(self) -> None:
        self._detour = None

    def next_place(self) -> str:
        """Take the next place of this branch."""
        if self._detour is not None:
            return self._detour.next_place()
        place = f"{self.path}{self._count}"
        self._count += 1
        return place

    def next_timer(self) -> str:
        """Take the next place of a timer of this branch."""
        if self._detour is not None:
            return self._detour.next_timer()
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
