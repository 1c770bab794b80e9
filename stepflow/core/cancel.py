"""The cancel token of a running step: fires once, and works on the loop and in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from stepflow.errors import CancelRequested
from stepflow.times import seconds


class CancelToken:
    """
    Tells a step whether its run was asked to stop.

    Use it from any thread. A step may simply return: a cancelled run ends whatever its step
    returns.
    """

    __slots__ = ("_event", "_subscribers", "reason")

    def __init__(self) -> None:
        self._event: threading.Event | None = None
        #: called once when the token fires
        self._subscribers: list[Callable[[], object]] = []
        #: why, once it has fired
        self.reason: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether the run was asked to stop."""
        return self.reason is not None

    def raise_if_set(self) -> None:
        """Raise CancelRequested when the run was asked to stop."""
        if self.reason is not None:
            raise CancelRequested(self.reason or "the run was asked to stop")

    async def wait(self) -> str:
        """Wait until the run is asked to stop, and return the reason."""
        is_set = asyncio.Event()
        unsubscribe = self.subscribe(is_set.set)
        try:
            while self.reason is None:
                await is_set.wait()
        finally:
            unsubscribe()
        return self.reason

    def subscribe(self, when_set: Callable[[], object]) -> Callable[[], None]:
        """
        Call *when_set* once when the token fires, at once if it has fired.

        Returns a function that unsubscribes it.
        """
        if self.reason is not None:
            when_set()
            return lambda: None
        self._subscribers.append(when_set)
        return lambda: self._subscribers.remove(when_set) if when_set in self._subscribers else None

    def wait_blocking(self, timeout_s: float | None = None) -> bool:
        """
        Block a thread until the run is asked to stop; return whether it was.

        Waits at most *timeout_s* seconds, for ever with None.
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
        Fire the token; the first reason stays.

        Call it on the loop's thread, or as the owner of the token.
        """
        if self.reason is not None:
            return
        self.reason = reason
        if self._event is not None:
            self._event.set()
        subscribers, self._subscribers = self._subscribers, []
        for when_set in subscribers:
            when_set()
