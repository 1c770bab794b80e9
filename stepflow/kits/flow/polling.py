"""Polling: a step is tried until it gives something, and its run is parked between the tries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from stepflow.core.backoff import RetryPolicy
from stepflow.errors import StepFailed

if TYPE_CHECKING:
    from stepflow.kits.flow.context import Context

#: the policy of a single try
ONCE = RetryPolicy(max_attempts=1)


async def carry_poll(
    ctx: Context, attempt: Callable[[], Awaitable[Any]], every_s: float, timeout_s: float | None, max_errors: int
) -> Any:
    """Try until *attempt* gives something other than None, and give that; see `Context.poll`."""
    over = None if timeout_s is None else asyncio.ensure_future(ctx.sleep(timeout_s))
    try:
        return await _poll(ctx, attempt, every_s, over, max_errors)
    finally:
        if over is not None:
            over.cancel()


async def _poll(
    ctx: Context,
    attempt: Callable[[], Awaitable[Any]],
    every_s: float,
    over: asyncio.Future[None] | None,
    max_errors: int,
) -> Any:
    errors = 0
    while True:
        trying = asyncio.ensure_future(attempt())
        if not await _before(over, trying):
            return None
        try:
            found = trying.result()
        except StepFailed:
            errors += 1
            if errors >= max_errors:
                raise
        else:
            errors = 0
            if found is not None:
                return found
        if not await _before(over, ctx.sleep(every_s)):
            return None


async def _before(over: asyncio.Future[None] | None, waited: asyncio.Future[Any]) -> bool:
    """Wait for *waited*; False when the time was *over* before, and *waited* is wanted no more."""
    try:
        await asyncio.wait({waited} if over is None else {waited, over}, return_when=asyncio.FIRST_COMPLETED)
        return waited.done()
    finally:
        waited.cancel()
