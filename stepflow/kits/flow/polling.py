"""Polling: a step is tried until it gives something, and its run is parked between the tries."""

from __future__ import annotations

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
    began, errors = ctx.now(), 0
    while True:
        try:
            found = await attempt()
        except StepFailed:
            errors += 1
            if errors >= max_errors:
                raise
        else:
            errors = 0
            if found is not None:
                return found
        if timeout_s is not None and (ctx.now() - began).total_seconds() >= timeout_s:
            return None
        await ctx.sleep(every_s)
