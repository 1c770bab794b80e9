"""News: what wakes an activation, and what ends it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from stepflow.errors import ClaimLost


class Wakeup:
    """Something has happened that the activation of *run_id* has to look at."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._event = asyncio.Event()
        self._is_lost = False
        self._problem: Exception | None = None

    @property
    def is_over(self) -> bool:
        """Whether the activation is to end at once."""
        return self._is_lost or self._problem is not None

    def wake(self) -> None:
        """Have every wish looked at once more."""
        self._event.set()

    def lose(self) -> None:
        """Note that the run is another worker's now."""
        self._is_lost = True
        self._event.set()

    def fail(self, problem: Exception) -> None:
        """Have the activation end with *problem*."""
        self._problem = problem
        self._event.set()

    def safely(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """
        Have what *callback* raises end the activation.

        Asyncio would only log it, and nothing would ever go on.
        """

        def call(argument: Any) -> None:
            try:
                callback(argument)
            except Exception as error:  # noqa: BLE001  handed on
                self.fail(error)

        return call

    def raise_if_over(self) -> None:
        """Take note of what is there so far; raises what ends the activation."""
        self._event.clear()
        if self._is_lost:
            raise ClaimLost(
                f"run {self._run_id!r} is held by another worker; its journal refused the write"
            )
        if self._problem is not None:
            raise self._problem

    async def wait(self) -> None:
        """Wait for the next."""
        await self._event.wait()
