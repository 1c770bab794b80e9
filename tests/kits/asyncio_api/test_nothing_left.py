"""[G2] [G4] What workflow code makes goes with its activation, however many there are."""

from __future__ import annotations

import gc
import logging
import sys
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from stepflow import Context
from stepflow.core.outcomes import Park, Succeed
from stepflow.kits.flow.replay.activation import Activation
from stepflow.kits.flow.step_options import Readers
from tests.kits.memory import MemoryRuntime, activate

pytestmark = pytest.mark.crash


def activations() -> int:
    gc.collect()
    return sum(type(each) is Activation for each in gc.get_objects())


async def test_a_thousand_parks_with_open_generators_leave_no_line_and_no_garbage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """[G2]"""
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    before = activations()

    class Held:
        pass

    async def workflow(ctx: Context) -> None:
        async def pages() -> AsyncIterator[int]:
            held = Held()
            alive.add(held)
            try:
                yield 1
                await ctx.sleep(1000)
                yield 2
            finally:
                await anyio.lowlevel.checkpoint()
                del held

        async def read() -> None:
            async for _ in pages():
                await anyio.sleep(1000)

        left = pages()
        await anext(left)
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(read)
            await anext(pages())
            await ctx.wait_for_signal("never")

    with caplog.at_level(logging.WARNING):
        for _ in range(1000):
            assert isinstance(await activate(MemoryRuntime(), workflow), Park)
    assert not caplog.records
    assert activations() <= before
    assert not alive


async def test_ten_thousand_runs_with_closures_of_their_own_leave_memory_flat() -> None:
    """[G4] With what is known of functions kept for all of them, as a worker does."""
    readers = Readers()
    blocks: list[int] = []

    async def workflow(ctx: Context) -> int:
        held = bytes(1000)

        async def closure() -> int:
            return len(held)

        async def annotated(value: int) -> int:
            return value + len(held)

        return await ctx.step(closure) + await ctx.step("named", annotated, 1, key="k")

    async def one() -> None:
        activation = Activation(MemoryRuntime())  # type: ignore[arg-type, abstract]
        ctx = Context(activation, headers={}, readers=readers)
        assert await activation.carry(lambda: workflow(ctx)) == Succeed(2001)

    for _ in range(4):
        for _ in range(2500):
            await one()
        gc.collect()
        blocks.append(sys.getallocatedblocks())
    assert blocks[-1] - blocks[0] < 500
