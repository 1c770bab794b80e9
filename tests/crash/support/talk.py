"""
Runs under attack that talk: each attempt says other words, and what it said is its value.

So the result of a run says which words count.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import Any

import stepflow
from stepflow import Context, Continue, Outcome, RetryPolicy, Step, Succeed, TransientError
from tests.crash.support.app import QUICK, app

PATIENT = RetryPolicy(max_attempts=20, initial=0.01, max_delay=0.05)


async def say(count: int, pause: float) -> str:
    """Say so many words, none of which any other attempt says."""
    own, said = secrets.token_hex(4), ""
    for n in range(count):
        word = f"{own}.{n} "
        said += word
        if n % 10 == 9:
            await stepflow.emit(word)
            await asyncio.sleep(pause)
        else:
            stepflow.emit(word)
    return said


@app.workflow("talk", retry=QUICK)
async def talk(ctx: Context, steps: int) -> list[str]:
    """Talk in steps: one by one, then two at once, whose words come mixed."""
    told = [await ctx.step(f"say-{n}", say, 100, 0.02) for n in range(steps - 2)]
    told += await asyncio.gather(*(ctx.step(f"both-{n}", say, 100, 0.02) for n in range(2)))
    return told


@app.runner("talker", retry=QUICK)
async def talker(step: Step[Any]) -> Outcome:
    """Talk in the steps of a runner."""
    told = [*step.payload["told"], await say(100, 0.02)]
    if step.number + 1 == step.payload["steps"]:
        return Succeed(told)
    return Continue({**step.payload, "told": told})


@app.runner("mumbler")
def mumbler(step: Step[Any]) -> Outcome:
    """Talk in a thread, until told to stop: which process, and what number."""
    number = 0
    while not step.cancel.wait_blocking(0.01):
        step.emit([os.getpid(), number])
        number += 1
    return Succeed()


async def busy(run_id: str, name: str) -> str:
    """Take a moment; every tenth call of a process fails."""
    await asyncio.sleep(0.02)
    if secrets.randbelow(10) == 0:
        raise TransientError("once more")
    return name


@app.workflow("branches", retry=PATIENT)
async def branches(ctx: Context, steps: int) -> int:
    """Take so many steps in each of eight branches."""

    async def branch(k: int) -> None:
        for n in range(steps):
            await ctx.step(f"b{k}-{n}", busy, ctx.run_id, f"b{k}-{n}")

    async with asyncio.TaskGroup() as group:
        for k in range(8):
            group.create_task(branch(k))
    return steps


@app.runner("long", retry=PATIENT)
async def long(step: Step[Any]) -> Outcome:
    """Take so many steps, some of them more than once."""
    await busy(step.run_id, str(step.number))
    last = step.number + 1 == step.payload
    return Succeed(step.number) if last else Continue(step.payload)
