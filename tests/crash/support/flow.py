"""
The workflow under attack: steps one by one, at once, flaky; a sleep; a signal. It belongs to the
app under attack.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import anyio

from stepflow import Context, Failed, Join, Limit, PermanentError, TransientError, current_step
from tests.crash.support.app import QUICK, app

WITNESS = os.environ.get("CRASH_WITNESS")
#: chaos sets another bound, for this one and for whole runs
gate = Limit("gate", concurrency=50)


def saw(run_id: str, name: str) -> None:
    """Append one line to the file that all workers share: what user code really did."""
    if WITNESS is not None:
        with Path(WITNESS).open("a") as file:
            file.write(f"{run_id} {name}\n")


async def work(run_id: str, name: str, pause: float) -> str:
    """Be a step that takes its time."""
    saw(run_id, name)
    await asyncio.sleep(pause)
    return name


def plain(run_id: str, name: str) -> str:
    """Be a step in a thread."""
    saw(run_id, name)
    return name


async def flaky(run_id: str) -> str:
    """Fail twice for each run, whoever asks."""
    saw(run_id, "flaky")
    seen = Path(str(WITNESS)).read_text().split("\n").count(f"{run_id} flaky")
    if seen < 3:
        raise TransientError("not yet")
    return "flaky"


@app.workflow("steps", retry=QUICK)
async def steps(ctx: Context, count: int) -> dict[str, Any]:
    """Take so many steps, nothing else."""
    return {"steps": [await ctx.step(f"s{n}", int, n) for n in range(count)]}


def large(run_id: str, number: int, size: int) -> bytes:
    """Be a step with a large value, which a store outside of Redis may take."""
    saw(run_id, f"large-{number}")
    return bytes([number]) * size


@app.workflow("large", retry=QUICK)
async def large_values(ctx: Context, size: int) -> list[bytes]:
    """Take three steps with large values, and have them as a result."""
    return [await ctx.step(f"large-{n}", large, ctx.run_id, n, size) for n in range(3)]


@app.workflow("queuing", retry=QUICK)
async def queuing(ctx: Context, count: int) -> dict[str, Any]:
    """Take a step, then others at once, of which each waits for its limit."""

    async def one(number: int) -> str:
        limit, name = gate.of("ab"[number % 2]), f"s{number}"
        return await ctx.step(name, work, ctx.run_id, name, 0.02, limit=limit)

    return {"steps": [await one(0), *await ctx.gather(*map(one, range(1, count)))]}


@app.workflow("walk", retry=QUICK)
async def walk(ctx: Context, count: int) -> dict[str, Any]:
    """Take so many steps that take a moment each: others wait for the slot meanwhile."""
    return {
        "steps": [await ctx.step(f"s{n}", work, ctx.run_id, f"s{n}", 0.02) for n in range(count)]
    }


@app.workflow("many", retry=QUICK)
async def many(ctx: Context, count: int) -> dict[str, Any]:
    """Do so many items, ten at once; every tenth fails for good."""

    async def item(number: int) -> int:
        await work(ctx.run_id, f"item {number}", 0.02)
        if number % 10 == 9:
            raise PermanentError("declined")
        return number

    found = await ctx.batch("item", item, range(count), limit=10, errors="slot")
    return {"failed": [each.index for each in found if isinstance(each, Failed)]}


async def paged(run_id: str, pages: int) -> list[int]:
    """Go through pages, and leave to the next attempt how far it came."""
    step = current_step()
    assert step is not None
    done: list[int] = await step.memo.get("done", [])
    for page in range(len(done), pages):
        await work(run_id, f"page {page}", 0.05)
        done = [*done, page]
        await step.memo.put("done", done)
    return done


@app.workflow("timed", retry=QUICK)
async def timed(ctx: Context, naps: int) -> dict[str, Any]:
    """Sleep, be limited and not limited, as code of asyncio and anyio is."""
    said: list[Any] = []

    async def nap(number: int) -> None:
        await asyncio.sleep(0.3 + number / 10)
        said.append(await ctx.step(f"slept-{number}", work, ctx.run_id, f"slept-{number}", 0.05))

    async with anyio.create_task_group() as group:
        for number in range(naps):
            group.start_soon(nap, number)
    with anyio.move_on_after(0.2) as scope:
        await ctx.wait_for_signal("never")
    async with asyncio.timeout(3600):
        pages = await ctx.step("pages", paged, ctx.run_id, 6)
    return {"slept": sorted(said), "late": scope.cancelled_caught, "pages": pages}


async def give_back(booked: str) -> None:
    """Undo it; the value says whose it was."""
    saw(*booked.split("|"))
    await asyncio.sleep(0.1)


async def booked(run_id: str, name: str, pause: float) -> str:
    """Be a step that is undone, and give what its compensation writes down."""
    await work(run_id, f"book {name}", pause)
    return f"{run_id}|back {name}"


async def declined() -> None:
    """Fail for good."""
    raise PermanentError("declined")


@app.workflow("saga", retry=QUICK)
async def saga(ctx: Context, pause: float) -> None:
    """Book three things, wait for a word or a cancel, then fail: all of it is undone."""
    me = ctx.run_id
    for name in ("a", "b", "c"):
        await ctx.step(f"book {name}", booked, me, name, pause, compensate=give_back)
    await ctx.wait_for_signal("word", timeout=60)
    await ctx.step("charge", declined)


@app.workflow("part", retry=QUICK)
async def part(ctx: Context, number: int) -> int:
    """Be a child: take a step, wait a moment, end."""
    await ctx.step("part", work, ctx.run_id, "part", 0.2)
    await ctx.sleep(0.1)
    return number


@app.workflow("whole", retry=QUICK)
async def whole(ctx: Context, parts: int) -> dict[str, Any]:
    """
    Map, and spawn one child beside; below zero be a tree of so many levels that waits for ever.
    """
    last = await ctx.spawn("part", -1)
    if parts <= 0:
        return {
            "parts": await ctx.map("whole", [parts + 1] * 2)
            if parts
            else await ctx.wait_for_signal("never")
        }
    return {"parts": [*await ctx.map("part", range(parts), limit=10), await last.result()]}


@app.workflow("race", retry=QUICK)
async def race(ctx: Context, seconds: float) -> dict[str, Any]:
    """Let children race that wait for ever but for two, and do a few items: nothing is left."""
    parts = [-1, *range(2), *range(100, 103)]
    won = await ctx.map("racer", parts, join=Join.quorum(2))
    late = await ctx.map("racer", [200, 201], join=Join.settled(timeout=seconds), limit=1)
    found = await ctx.batch("item", work_item, range(20), limit=5)
    return {"won": len(won), "late": len(late), "items": sum(found)}


@app.workflow("racer", retry=QUICK)
async def racer(ctx: Context, part: int) -> int:
    """Be one that fails, one that wins, or one that waits until it is stopped, and cleans up."""
    if part < 0:
        raise PermanentError("declined")
    try:
        return part if part < 100 else await ctx.wait_for_signal("never")
    finally:
        if part >= 100:
            await ctx.step("clean", work, ctx.run_id, "clean", 0.01)


async def work_item(number: int) -> int:
    """Be an item that takes a moment."""
    await asyncio.sleep(0.01)
    return number


@app.workflow("thirty", retry=QUICK)
async def thirty(ctx: Context, fails: bool) -> list[Any]:
    """
    Thirty steps with everything in them: undone ones, some at once, in branches, flaky; a sleep, a
    signal, a child.
    """
    me, told = ctx.run_id, []
    for n in range(4):
        told.append(await ctx.step(f"book {n}", booked, me, str(n), 0.01, compensate=give_back))
    told += await asyncio.gather(
        *(ctx.step(f"wide-{n}", work, me, f"wide-{n}", 0.02 * n) for n in range(8))
    )

    async def branch(k: int) -> list[str]:
        return [
            await ctx.step(f"branch-{k}-{n}", work, me, f"branch-{k}-{n}", 0.02 * k)
            for n in range(3)
        ]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(branch(k)) for k in range(3)]
    told += [task.result() for task in tasks]
    await ctx.sleep(0.2)
    child = await ctx.spawn("part", 7)
    told.append(await ctx.wait_for_signal("word", timeout=60))
    told.append(await ctx.step("flaky", flaky, me))
    told.append(await child.result())
    told += [await ctx.step(f"last-{n}", plain, me, f"last-{n}") for n in range(8)]
    if fails:
        await ctx.step("charge", declined)
    return told


@app.workflow("mail")
async def mail(ctx: Context) -> Any:
    """Give the first signal."""
    return await ctx.wait_for_signal("word")


@app.workflow("flow", retry=QUICK)
async def flow(ctx: Context, pause: float) -> list[Any]:
    """Do a bit of everything and tell in which order it was answered."""
    me, told = ctx.run_id, []
    told.append(await ctx.step("first", work, me, "first", pause))
    told += await asyncio.gather(
        *(ctx.step(f"at-once-{n}", work, me, f"at-once-{n}", pause) for n in range(3))
    )

    async def branch(n: int) -> None:
        for k in range(2):
            told.append(
                await ctx.step(f"branch-{n}-{k}", work, me, f"branch-{n}-{k}", pause * (n + 1))
            )

    async with asyncio.TaskGroup() as group:
        for n in range(2):
            group.create_task(branch(n))
    await ctx.sleep(0.3)
    told.append(await ctx.step("flaky", flaky, me))
    told.append(await ctx.wait_for_signal("word", timeout=60))
    told.append(await ctx.step("last", plain, me, "last"))
    return [*told, str(ctx.uuid())]
