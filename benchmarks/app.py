"""The runners that the workloads submit; a step does nothing but leave its time stamp."""

from __future__ import annotations

import asyncio
from typing import Any

from benchmarks.marks import hit
from stepflow import Continue, Outcome, Step, Stepflow, Succeed

app = Stepflow()


@app.runner("chain")
async def chain(step: Step[Any]) -> Outcome:
    """Take `steps` trivial steps."""
    hit()
    n = step.number + 1
    return Continue({"n": n, "steps": step.payload["steps"]}) if n < step.payload["steps"] else Succeed({"n": n})


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
