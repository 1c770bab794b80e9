"""The token a running step watches: fired once, seen from the loop and from threads alike."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from stepflow.errors import StepflowError
from stepflow.times import seconds


class StopRequested(StepflowError):
    """Raised by `CancelToken.raise_if_set`: the run was asked to stop."""


class CancelToken:
    """
    Says whether the run was asked to stop, and lets a step wait for that.

    Fired from any thread. The runtime ends a cancelled run whatever the step returns, so a step may
    simply leave.
    """

    __slots__ = ("_event", "_told", "reason")

    def __init__(self) -> None:
        self._event: threading.Event | None = None
        #: called once when it is set
        self._told: list[Callable[[], object]] = []
        #: why, once it is set
        self.reason: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self.reason is not None

    def raise_if_set(self) -> None:
        """Raise StopRequested when the run was asked to stop."""
        if self.reason is not None:
            raise StopRequested(self.reason or "the run was asked to stop")

    async def wait(self) -> str:
        """Wait until the run is asked to stop and give the reason."""
        is_set = asyncio.Event()
        forget = self.tell(is_set.set)
        try:
            while self.reason is None:
                await is_set.wait()
        finally:
            forget()
        return self.reason

    def tell(self, when_set: Callable[[], object]) -> Callable[[], None]:
        """
        Have *when_set* called once the token is fired, at once when it was.

        Gives what takes that back.
        """
        if self.reason is not None:
            when_set()
            return lambda: None
        self._told.append(when_set)
        return lambda: self._told.remove(when_set) if when_set in self._told else None

    def wait_blocking(self, timeout_s: float | None = None) -> bool:
        """
        Block a thread until the run is asked to stop, at most *timeout_s* seconds.

        Says whether it was.
        """
        if timeout_s is not None:
            timeout_s = seconds(timeout_s, "timeout_s of wait_blocking")
        if self._event is None:
            self._event = threading.Event()
        if self.reason is not None:
            return True
        return self._event.wait(timeout_s)

    def fire(self, reason: str) -> None:
        """
        Set the token; the first reason stays.

        Called on the loop's thread, or by whoever owns the token.
        """
        if self.reason is not None:
            return
        self.reason = reason
        if self._event is not None:
            self._event.set()
        told, self._told = self._told, []
        for when_set in told:
            when_set()
