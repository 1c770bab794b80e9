"""What an activation says of the output of one before it that was lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import stepflow
from stepflow import Context
from tests.kits.memory import RESET, MemoryRuntime, activate


async def hang() -> None:
    stepflow.emit("slow")
    await asyncio.sleep(60)


async def quick() -> None:
    await asyncio.sleep(0.001)


async def drops(ctx: Context) -> Any:
    """Cancel a step, then wait."""
    slow = asyncio.ensure_future(ctx.step("slow", hang))
    await ctx.step("quick", quick)
    slow.cancel()
    return await ctx.wait_for_signal("go")


async def ends_badly(ctx: Context) -> None:
    """Fail while a step is under way; what was done before is undone, then it is waited for."""
    await ctx.step("first", quick, compensate=lambda _: None)
    slow = asyncio.ensure_future(ctx.step("slow", hang))
    await ctx.step("quick", quick)
    del slow
    raise ValueError("no")


@pytest.mark.parametrize("was_lost", [True, False])
async def test_what_was_dropped_before_a_crash_is_void_after_it(was_lost: bool) -> None:
    """[E9] Its worker may have died before it could say so; a run that only parked says nothing."""
    runtime = MemoryRuntime()
    await activate(runtime, drops)
    assert runtime.output == [("0", "slow"), ("0", RESET)]
    del runtime.output[1:]  # the crash came first
    runtime.run.handoff = int(was_lost)
    await activate(runtime, drops)
    assert runtime.output == [("0", "slow"), *[("0", RESET)] * was_lost]


async def test_what_was_under_way_as_undoing_began_is_void_after_a_crash() -> None:
    """[E9]"""
    runtime = MemoryRuntime()
    await activate(runtime, ends_badly)
    assert runtime.output == [("1", "slow"), ("1", RESET)]
    del runtime.output[1:]
    names = [entry.split(b"|")[0] for entry in runtime.journal]
    del runtime.journal[names.index(b"undo") + 1 :]
    runtime.run.handoff = 1
    await activate(runtime, ends_badly)
    assert runtime.output[:2] == [("1", "slow"), ("1", RESET)]
