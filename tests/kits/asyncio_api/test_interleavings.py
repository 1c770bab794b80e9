"""[G8] Whatever comes first, a replay of what is remembered takes the same turns."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from stepflow import Context
from stepflow.core.outcomes import Park, Succeed
from stepflow.errors import ClaimLost
from tests.kits.memory import MemoryRuntime, activate

pytestmark = pytest.mark.crash

ROUNDS = 1000


class JumpingRuntime(MemoryRuntime):
    """The clock jumps to what is due once nothing else has happened for a while."""

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[None]:
        task, loop, is_late = asyncio.current_task(), asyncio.get_running_loop(), False

        def jump() -> None:
            nonlocal is_late
            is_late = True
            self.clock += seconds or 0.0
            assert task is not None
            task.cancel()

        handle = loop.call_later(0.0005, jump)
        try:
            yield
        except asyncio.CancelledError:
            if not is_late or task is None:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            handle.cancel()


class MadeUp:
    """
    A workflow of branches that sleep, are limited and limit each other.

    Its shape follows from *seed*, how long its steps take from *chance*.
    """

    def __init__(self, seed: int, chance: random.Random) -> None:
        self.seed, self.chance = seed, chance
        self.seen: list[Any] = []
        self.kinds = [
            self.step, self.sleep, self.move_on, self.limit, self.race, self.wait_for,
            self.ask_time,
        ]  # fmt: skip

    async def __call__(self, ctx: Context) -> list[str]:
        self.seen = []
        shapes = [random.Random(f"{self.seed}.{branch}") for branch in range(3)]
        async with anyio.create_task_group() as group:
            for shape in shapes:
                group.start_soon(self.some, ctx, shape, 0)
        return [str(each) for each in self.seen]

    async def some(self, ctx: Context, shape: random.Random, depth: int) -> None:
        for _ in range(shape.randrange(1, 4) if depth < 3 else 1):
            kind, limit_s = shape.choice(self.kinds), shape.choice((0.001, 0.01, 1.0, 60.0))
            await kind(ctx, limit_s, random.Random(shape.random()), depth + 1)

    async def act(self, value: int) -> int:
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(0)
        if self.chance.random() < 0.05:
            await asyncio.sleep(0.001)
        return value

    async def step(self, ctx: Context, limit_s: float, shape: random.Random, depth: int) -> None:
        del limit_s, depth
        self.seen.append(await ctx.step("act", self.act, shape.randrange(100)))

    async def sleep(self, ctx: Context, limit_s: float, shape: random.Random, depth: int) -> None:
        del ctx, shape, depth
        await asyncio.sleep(limit_s)
        self.seen.append(("slept", limit_s))

    async def move_on(self, ctx: Context, limit_s: float, shape: random.Random, depth: int) -> None:
        with anyio.move_on_after(limit_s) as scope:
            await self.some(ctx, shape, depth)
        self.seen.append(("moved on", scope.cancelled_caught))

    async def limit(self, ctx: Context, limit_s: float, shape: random.Random, depth: int) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self.some(ctx, shape, depth)
        except TimeoutError:
            self.seen.append(await ctx.step("late", self.act, 0))

    async def race(self, ctx: Context, limit_s: float, shape: random.Random, depth: int) -> None:
        tasks = [asyncio.create_task(self.some(ctx, shape, depth)) for _ in "ab"]
        done, _ = await asyncio.wait(tasks, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        self.seen.append([task in done for task in tasks])
        for task in tasks:
            task.cancel()

    async def wait_for(
        self, ctx: Context, limit_s: float, shape: random.Random, depth: int
    ) -> None:
        del depth
        with suppress(TimeoutError):
            await asyncio.wait_for(ctx.sleep(shape.choice((0.001, 2.0))), limit_s)
        self.seen.append("waited")

    async def ask_time(
        self, ctx: Context, limit_s: float, shape: random.Random, depth: int
    ) -> None:
        del ctx, limit_s, shape, depth
        self.seen.append(asyncio.get_running_loop().time())


async def carry(runtime: JumpingRuntime, workflow: Any, chance: random.Random) -> Any:
    """Carry a run to its end, past crashes."""
    while True:
        runtime.crash_after = None
        if chance.random() < 0.3:
            runtime.crash_after = len(runtime.journal) + chance.randrange(4)
        try:
            outcome = await activate(runtime, workflow)
        except ClaimLost:
            runtime.run.crashes = 1
            continue
        if not isinstance(outcome, Park):
            return outcome
        runtime.run.crashes = 0
        runtime.clock = max(runtime.clock, outcome.due_at or 0.0)


@pytest.mark.parametrize("part", range(4))
async def test_thousand_interleavings_replay_equal(part: int) -> None:
    for seed in range(part, ROUNDS, 4):
        chance = random.Random(f"chance {seed}")
        runtime = JumpingRuntime()
        outcome = await carry(runtime, MadeUp(seed, chance), chance)
        assert isinstance(outcome, Succeed), (seed, outcome)
        journal = list(runtime.journal)
        runtime.crash_after, runtime.run.crashes = None, 0
        runtime.run.step += 1  # its code was here before: nothing begins late
        assert await activate(runtime, MadeUp(seed, chance)) == outcome, seed
        assert runtime.journal[: len(journal)] == journal, seed
