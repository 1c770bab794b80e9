"""The runners that the workloads submit; a step does nothing but leave its time stamp."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.marks import hit
from stepflow import Context, Continue, Outcome, Step, Stepflow, Succeed

app = Stepflow()


@app.runner("chain")
async def chain(step: Step[Any]) -> Outcome:
    """Take `steps` trivial steps."""
    hit()
    n = step.number + 1
    return Continue({"n": n, "steps": step.payload["steps"]}) if n < step.payload["steps"] else Succeed({"n": n})


async def trivial(n: int) -> dict[str, int]:
    """Do nothing and say so."""
    hit()
    return {"n": n}


@app.workflow("flow")
async def flow(ctx: Context, given: dict[str, int]) -> int:
    """Take `steps` trivial steps as one workflow."""
    for n in range(given["steps"]):
        await ctx.step("trivial", trivial, n)
    return given["steps"]


@app.runner("noop")
async def noop(step: Step[Any]) -> Outcome:
    """Do nothing, once."""
    hit()
    return Succeed()


@app.runner("nap")
async def nap(step: Step[Any]) -> Outcome:
    """Sleep a second on the loop."""
    await asyncio.sleep(1)
    hit()
    return Succeed({"n": step.payload})
