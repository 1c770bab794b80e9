"""An app whose steps have a limit."""

from __future__ import annotations

import asyncio

from stepflow import Context, Limit, RetryPolicy, Stepflow

MOST, KEYS = 3, ("a", "b")
QUICK = RetryPolicy(max_attempts=50, initial=0.02, max_delay=0.2)

app = Stepflow()
gate = Limit("gate", concurrency=MOST)


async def work(number: int) -> int:
    """Take a moment."""
    await asyncio.sleep(0.03)
    return number


@app.workflow("limited", retry=QUICK)
async def limited(ctx: Context, key: str) -> list[int]:
    """Do a step alone, then some at once; all with the limit."""
    first = await ctx.step(work, 0, limit=gate.of(key))
    rest = await ctx.gather(*(ctx.step(work, n, limit=gate.of(key)) for n in range(1, 5)))
    return [first, *rest]
