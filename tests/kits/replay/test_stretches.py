"""[G13] A replay lets the worker's loop turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import Context
from stepflow.core.outcomes import Pause, Succeed
from stepflow.errors import UnreadableRecord
from stepflow.kits.flow.replay.timing import stretches
from tests.kits.memory import MemoryRuntime, World, activate


async def turns_while(work: Any) -> tuple[Any, int]:
    """Return what *work* gives, and how often the loop turned meanwhile."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    try:
        return await work, turns
    finally:
        counting.cancel()


async def chain(ctx: Context) -> int:
    world, total = World(), 0
    for number in range(300):
        total += await ctx.step("one", world.act, "one", number)
    return total


async def test_a_replay_that_takes_long_lets_others_have_the_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """[G13] After each answer here, where no time is too short."""
    runtime = MemoryRuntime()
    outcome = await activate(runtime, chain)
    assert outcome == Succeed(sum(range(300)))
    monkeypatch.setattr(stretches, "STRETCH_S", 3600.0)
    same, few = await turns_while(activate(runtime, chain))
    monkeypatch.setattr(stretches, "STRETCH_S", 0.0)
    again, many = await turns_while(activate(runtime, chain))
    assert outcome == same == again
    assert few < 20
    assert many >= 300


async def test_a_run_that_is_cancelled_in_the_middle_of_its_replay_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """[G13]"""
    runtime, closed = MemoryRuntime(), []

    async def workflow(ctx: Context) -> None:
        try:
            await chain(ctx)
        finally:
            closed.append(ctx)

    await activate(runtime, workflow)
    monkeypatch.setattr(stretches, "STRETCH_S", 0.0)
    replaying = asyncio.create_task(activate(runtime, workflow))
    for _ in range(50):
        await asyncio.sleep(0)
    replaying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await replaying
    assert len(closed) == 2


async def test_an_entry_that_cannot_be_read_is_named_by_its_index(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """[G13] Wherever the journal is cut to be read."""
    monkeypatch.setattr(stretches, "_READ_AT_ONCE", 7)
    runtime = MemoryRuntime()
    await activate(runtime, chain)
    runtime.journal[100] = b"from a later version"
    outcome = await activate(runtime, chain)
    assert isinstance(outcome, Pause)
    assert "entry 100 of its journal" in outcome.reason
    with pytest.raises(UnreadableRecord, match="entry 9 "):
        await stretches.Stretches(None).read([*runtime.journal[:9], b"x"], "r")  # type: ignore[arg-type]
