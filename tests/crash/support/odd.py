"""
User code that does what none should: it forks, exits, panics, cancels, leaks, and asks for times
beyond all calendars.

It belongs to the app under attack. Each of its runs proves its place as the others do, once it has
done its worst.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

from stepflow import Context, Continue, Outcome, Step
from tests.crash.support.app import QUICK, app, walked
from tests.crash.support.flow import saw


class PanicError(BaseException):
    """What a native extension raises."""


def square(number: int) -> int:
    """Be the work of a child process."""
    return number * number


def in_children(numbers: int) -> list[int]:
    """Have forked children do it; leaving the block sends them SIGTERM."""
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(square, range(numbers))


async def leave() -> None:
    """Exit out of a task that the runtime did not make."""
    await asyncio.sleep(0)
    sys.exit(0)


async def in_a_gather() -> None:
    await asyncio.gather(leave(), asyncio.sleep(0.01))


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(leave())


async def leaked() -> None:
    """Leave a task and a thread behind that exit later, and a callback that does at once."""
    threading.Thread(target=sys.exit, daemon=True).start()
    asyncio.get_running_loop().call_soon(sys.exit, 3)
    task = asyncio.ensure_future(leave())
    await asyncio.sleep(0.01)
    raise ValueError(str(task))


async def exits() -> None:
    sys.exit(0)


async def panics() -> None:
    raise PanicError("index out of range")


async def interrupts() -> None:
    raise KeyboardInterrupt


async def cancels_itself() -> None:
    current = asyncio.current_task()
    assert current is not None
    current.cancel()
    await asyncio.sleep(0)


async def cancelled() -> None:
    raise asyncio.CancelledError


async def stops_the_loop() -> None:
    asyncio.get_running_loop().stop()
    raise ValueError("stopped")


async def forks_by_hand() -> None:
    """Fork, and have the child run on into what called it."""
    if os.fork() == 0:
        return
    await asyncio.sleep(0.05)
    os.waitpid(-1, 0)
    raise ValueError("the parent fails, the child goes on")


#: what is done at the first attempt, and what at none but that
DEEDS = [
    exits, in_a_gather, in_a_group, leaked, panics, interrupts, cancels_itself, cancelled,
    stops_the_loop, forks_by_hand,
]  # fmt: skip


@app.runner("odd", retry=QUICK)
async def odd(step: Step[Any]) -> Outcome:
    """Do another deed at each step, and then go on as if nothing had been."""
    if step.attempt == 1:
        await DEEDS[step.number % len(DEEDS)]()
    return walked(step)


@app.runner("forks", retry=QUICK)
async def forks(step: Step[Any]) -> Outcome:
    """Have children, on the loop's own thread: the neighbours wait, and nothing worse."""
    in_children(3)
    return walked(step)


@app.runner("far", retry=QUICK)
async def far(step: Step[Any]) -> Outcome:
    """Ask for a time that no calendar has."""
    return Continue(step.payload, delay=timedelta.max)


def once(run_id: str, number: int) -> str:
    """Give the name of the deed, to be done once by each run."""
    saw(run_id, f"deed-{number}")
    return DEEDS[number].__name__


async def do(run_id: str, number: int, seen: list[tuple[str, int]] = []) -> str:  # noqa: B006  kept, of a process
    """
    Do a deed the first time that this process sees the step: once more after each crash of a
    worker.
    """
    if (run_id, number) not in seen:
        seen.append((run_id, number))
        await DEEDS[number]()
    return once(run_id, number)


@app.workflow("odd-flow", retry=replace(QUICK, max_attempts=50))
async def odd_flow(ctx: Context, count: int) -> dict[str, Any]:
    """Do the same in steps, plain and not, and with children in one."""
    done = [await ctx.step(f"deed-{number}", do, ctx.run_id, number) for number in range(count)]
    done.append(str(await ctx.step("children", in_children, 2)))
    return {"steps": done}
