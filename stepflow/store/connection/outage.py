"""What a link knows of a server that would not take its calls, until another one does."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from stepflow.errors import RedisRefused
from stepflow.store.calls import Call
from stepflow.store.connection.error_replies import refused_by
from stepflow.store.connection.protocol import Wire
from stepflow.store.connection.retry_waits import growing_waits

#: seconds without a refusal after which the waits between refusals begin anew
_FORGIVEN_S = 10.0

#: a call and where its answer goes
Waiting = tuple[Call[Any], "asyncio.Future[Any]"]


class Outage:
    """
    What a link knows of the server that refused it last.

    What that still owes, what it refused, how long to wait.
    """

    def __init__(self) -> None:
        self.wire: Wire | None = None
        self.owed: deque[Waiting] = deque()
        self.refused: deque[Waiting] = deque()
        self._refusal: RedisRefused | None = None
        self._at = float("-inf")
        self._waits = growing_waits()

    def note(self, message: str) -> RedisRefused:
        """Keep what the server said, and give it in words."""
        self._refusal = refused_by(message)
        return self._refusal

    def wait_s(self, now: float) -> float:
        """
        Say how long to wait now.

        Longer each time, from the beginning when the last is long ago.
        """
        if not self.is_recent(now):
            self._waits = growing_waits()
        self._at = now
        return next(self._waits)

    def is_recent(self, now: float) -> bool:
        """Whether a refusal is what calls are waiting for."""
        return now - self._at < _FORGIVEN_S

    def refusal_at(self, now: float) -> RedisRefused | None:
        """Give the refusal, when it is that what calls are waiting for."""
        return self._refusal if self.is_recent(now) else None
