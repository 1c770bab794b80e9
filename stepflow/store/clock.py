"""One clock for scores and leases: the Redis server's, or one that a test moves by hand."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

#: seconds after which two clocks may have drifted apart by more than anybody should reckon with
STALE_S = 60.0
#: seconds for which the best offset stays the best
DRIFT_S = 10.0
#: seconds by which no answer is read too late on a loop that turns
SET_BACK_S = 1.0


class ServerClock:
    """
    The server's time as far as this process knows it.

    Its own clock plus the offset that scripts taught it.
    """

    #: what scripts are given as the time: nothing, they ask the server
    given = ""

    def __init__(self) -> None:
        self._offset_s = 0.0
        self._taken_at = -DRIFT_S
        self._learned_at = -STALE_S

    @property
    def is_stale(self) -> bool:
        """Whether the server has not been heard of for so long that it should be asked."""
        return time.monotonic() - self._learned_at >= STALE_S

    def now(self) -> float:
        """Give the server's unix time in seconds."""
        return time.time() + self._offset_s

    def learn(self, server_now: float) -> None:
        """
        Take the offset from a time that a script just answered with.

        An answer is read late, never early: the greatest offset is the nearest, until the clocks
        may have drifted apart. One that is far behind means that this machine's clock was set.
        """
        offset_s, now = server_now - time.time(), time.monotonic()
        behind_s = self._offset_s - offset_s
        if not 0 <= behind_s < SET_BACK_S or now - self._taken_at >= DRIFT_S:
            self._offset_s, self._taken_at = offset_s, now
        self._learned_at = now

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[Any]:
        """
        Raise TimeoutError out of an `async with` block that lasts longer than *seconds*.

        The seconds are this clock's; None sets no limit.
        """
        # A limit that never comes costs as much as one that does: 2 us, twice a ctx.step.
        return contextlib.nullcontext() if seconds is None else asyncio.timeout(seconds)


#: what limits a block; its Timeout knows whether it was the one that ended it
Limiting = AbstractAsyncContextManager[asyncio.Timeout | None]


def told(limiting: Limiting, seconds: float | None) -> AbstractAsyncContextManager[object]:
    """Limit a block by *limiting*, whose TimeoutError then says the *seconds* that were too few."""
    return limiting if seconds is None else _telling(limiting, seconds)


@contextlib.asynccontextmanager
async def _telling(limiting: Limiting, seconds: float) -> AsyncIterator[None]:
    limit = None
    try:
        async with limiting as limit:
            yield
    except TimeoutError as error:
        if limit is None or not limit.expired():  # it is one of the block's own
            raise
        raise TimeoutError(f"it took longer than its timeout of {seconds:g} s") from error


class ManualClock(ServerClock):
    """A clock that stands still until it is advanced; scripts are given its time."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        super().__init__()
        self._now = now
        self._limits: list[tuple[float, asyncio.Timeout]] = []

    @property
    def given(self) -> str:  # type: ignore[override]
        """The time in the form scripts take."""
        return f"{self._now:.6f}"

    @property
    def is_stale(self) -> bool:
        """It is never to be told."""
        return False

    def now(self) -> float:
        """Give the time it stands at."""
        return self._now

    def learn(self, server_now: float) -> None:
        """Ignore what the server says."""

    def advance(self, seconds: float) -> None:
        """
        Move the clock forward.

        Time limits that this passes end their blocks at the loop's next turns.
        """
        self._now += seconds
        for until, limit in self._limits:
            if until <= self._now:
                _end(limit)

    @contextlib.asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        """Limit a block by this clock: no real time ends it, only `advance`."""
        async with asyncio.timeout(None) as limit:
            mine = (self._now + (seconds or 0.0), limit)
            if seconds is not None:
                self._limits.append(mine)
            if seconds is not None and seconds <= 0:
                _end(limit)
            try:
                yield limit
            finally:
                if seconds is not None:
                    self._limits.remove(mine)

    @property
    def next_limit(self) -> float | None:
        """When the first of the running time limits ends, in unix seconds; None without one."""
        return min((until for until, _ in self._limits), default=None)


def _end(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())
