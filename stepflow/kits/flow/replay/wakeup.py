"""What wakes an activation, and what ends it at once."""

from __future__ import annotations

import asyncio

from stepflow.errors import ClaimLost


class Wakeup:
    """Wakes the activation of *run_id* when something has happened that it has to look at."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._event = asyncio.Event()
        self._is_lost = False
        self._problem: Exception | None = None
        #: whether the activation is to end at once
        self.is_over = False

    @property
    def has_news(self) -> bool:
        """Whether something has happened since `raise_if_over`."""
        return self._event.is_set()

    def wake(self) -> None:
        """Have every command looked at once more."""
        self._event.set()

    def lose_claim(self) -> None:
        """Have the activation end: the run is another worker's now."""
        self._is_lost = self.is_over = True
        self._event.set()

    def fail(self, problem: Exception) -> None:
        """Have the activation end with *problem*."""
        self._problem, self.is_over = problem, True
        self._event.set()

    def raise_if_over(self) -> None:
        """Take note of all that has happened so far; raises what ends the activation."""
        self._event.clear()
        if self._is_lost:
            raise ClaimLost(
                f"run {self._run_id!r} is held by another worker; its journal refused the write"
            )
        if self._problem is not None:
            raise self._problem

    async def wait(self) -> None:
        """Wait until something happens, if nothing has since `raise_if_over`."""
        await self._event.wait()
