"""The runners and workflows that the workloads submit; a step only leaves its time stamp."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks.marks import hit
from stepflow import Context, Continue, Outcome, Step, Stepflow, Succeed

app = Stepflow()


@app.runner("chain")
async def chain(step: Step[Any]) -> Outcome:
    """Take `steps` trivial steps."""
    hit()
    n = step.number + 1
    return (
        Continue({"n": n, "steps": step.payload["steps"]})
        if n < step.payload["steps"]
        else Succeed({"n": n})
    )


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


@app.runner("says")
async def says(step: Step[Any]) -> Outcome:
    """Emit so many times of the day, apart or as fast as Redis takes them."""
    for _ in range(step.payload["items"]):
        await step.emit(time.time())
        if step.payload["apart_s"]:
            await asyncio.sleep(step.payload["apart_s"])
    hit()
    return Succeed()


@app.runner("nap")
async def nap(step: Step[Any]) -> Outcome:
    """Sleep a second on the loop."""
    await asyncio.sleep(1)
    hit()
    return Succeed({"n": step.payload})


def ms_since(moment: float) -> float:
    """Milliseconds since then, by the clock that all processes of the machine share."""
    return (time.time() - moment) * 1e3


@app.runner("late")
async def late(step: Step[Any]) -> Outcome:
    """Say how late it is, in ms after `since`."""
    return Succeed(ms_since(step.payload["since"]))


@app.runner("turn")
async def turn(step: Step[Any]) -> Outcome:
    """Say how late it is, in ms after `since`, and occupy the slot for 100 ms."""
    late = ms_since(step.payload["since"])
    await asyncio.sleep(0.1)
    return Succeed(late)


@app.runner("on-time")
async def on_time(step: Step[Any]) -> Outcome:
    """Say how late it is, in ms after the time that it is scheduled for."""
    at = step.scheduled_for
    return Succeed(ms_since(at.timestamp() if at else 0.0))


@app.runner("park")
async def park(step: Step[Any]) -> Outcome:
    """Wait between two steps until `since`, then say how late it is."""
    since = step.payload["since"]
    return Succeed(ms_since(since)) if step.number else Continue(step.payload, at=since)


@app.workflow("sleep")
async def sleep(ctx: Context, given: dict[str, float]) -> float:
    """Sleep until `since`, then say how late it is."""
    await ctx.sleep_until(given["since"])
    return ms_since(given["since"])


@app.workflow("leaf")
async def leaf(ctx: Context, n: int) -> int:
    """Give what was given."""
    return n


@app.workflow("tree")
async def tree(ctx: Context, given: dict[str, int]) -> int:
    """Map over `children` children."""
    return sum(await ctx.map("leaf", range(given["children"])))


@app.workflow("batch")
async def batch(ctx: Context, given: dict[str, int]) -> int:
    """Do `items` items, ten at once."""
    found = await ctx.batch("trivial", trivial, range(given["items"]), limit=10)
    return sum(each["n"] for each in found)


@app.workflow("answer")
async def answer(ctx: Context, given: dict[str, int]) -> list[float]:
    """Remember `steps` steps, then answer `signals` signals: how late was each of them heard."""
    for n in range(given["steps"]):
        await ctx.step("trivial", trivial, n)
    return [
        await ctx.step("heard", ms_since, await ctx.wait_for_signal("go"))
        for _ in range(given["signals"])
    ]
