"""What a connection remembers about a server that refuses its calls, until one accepts them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from stepflow.errors import RedisRefused
from stepflow.store.calls import Call
from stepflow.store.connection.error_replies import refused_by
from stepflow.store.connection.protocol import RedisProtocol
from stepflow.store.connection.retry_waits import growing_waits

#: seconds without a refusal after which the waits start again from the shortest
_FORGIVEN_S = 10.0

#: a call and the future for its result
Waiting = tuple[Call[Any], "asyncio.Future[Any]"]


class Outage:
    """
    What a connection remembers about the server that refused it last.

    Replies the server still owes, calls it refused, and how long to wait before trying again.
    """

    def __init__(self) -> None:
        self.protocol: RedisProtocol | None = None
        self.owed: deque[Waiting] = deque()
        self.refused: deque[Waiting] = deque()
        self._refusal: RedisRefused | None = None
        self._at = float("-inf")
        self._waits = growing_waits()

    def note(self, message: str) -> RedisRefused:
        """Remember an error reply and return it as an exception."""
        self._refusal = refused_by(message)
        return self._refusal

    def wait_s(self, now: float) -> float:
        """
        Return how many seconds to wait before the next try.

        Grows with each call, and starts again after a while without refusals.
        """
        if not self.is_recent(now):
            self._waits = growing_waits()
        self._at = now
        return next(self._waits)

    def is_recent(self, now: float) -> bool:
        """Return whether the server refused a call a moment ago."""
        return now - self._at < _FORGIVEN_S

    def refusal_at(self, now: float) -> RedisRefused | None:
        """Return the last refusal if it is recent, else None."""
        return self._refusal if self.is_recent(now) else None
