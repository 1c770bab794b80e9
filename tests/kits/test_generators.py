"""
[B8] [B9] Async generators of workflow code belong to its loop; what a workflow makes goes with its
activation.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import Iterator

import pytest

from stepflow import RunState, Stepflow
from stepflow.testing import Harness


@pytest.fixture(autouse=True)
def small_heap() -> Iterator[None]:
    """Have collections look at what a test makes, and not at all that the suite has loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


async def test_a_generator_that_is_left_in_the_middle_is_closed_by_its_workflow():
    app = Stepflow()
    done: list[str] = []

    @app.workflow("flow")
    async def flow(ctx):
        async def pages():
            try:
                for number in range(10):
                    yield await ctx.step(f"page {number}", str, number)
            finally:
                done.append(await ctx.step("close", str, "closed"))

        async for page in pages():
            if page == "2":
                break
        return await ctx.step("after", str, page)

    async with Harness(app) as h:
        h.crash_after("after")
        run = await h.submit("flow")
        assert await h.result(run) == "2"
        assert [h.called.count(f"page {number}") for number in range(4)] == [1, 1, 1, 0]
        await h.replay(await h.history(run))
    assert set(done) == {"closed"}


async def test_a_workflow_has_not_ended_before_its_generators_are_closed():
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx):
        async def pages():
            try:
                yield 1
                yield 2
            finally:
                await ctx.sleep(5)
                await ctx.step("close", str, "closed")

        async for _ in pages():
            break
        return "result"

    async with Harness(app) as h:
        run = await h.submit("flow")
        assert (await h.status(run)).state is RunState.WAITING
        await h.advance(5)
        assert await h.result(run) == "result"
        assert h.called == ["close"]


async def test_a_generator_that_holds_a_lock_lets_go_of_it():
    app = Stepflow()

    @app.workflow("flow")
    async def flow(ctx):
        lock = asyncio.Lock()

        async def pages():
            async with lock:
                yield await ctx.step("one", str, 1)
                yield await ctx.step("two", str, 2)

        async for _ in pages():
            break
        async with lock:
            return await ctx.step("three", str, 3)

    async with Harness(app) as h:
        assert await h.result(await h.submit("flow")) == "3"


async def test_parks_with_generators_left_open_leave_no_line_and_no_garbage(
    caplog: pytest.LogCaptureFixture,
):
    app = Stepflow()
    alive: weakref.WeakSet[object] = weakref.WeakSet()

    class Held:
        pass

    @app.workflow("flow")
    async def flow(ctx):
        async def pages():
            held = Held()
            alive.add(held)
            try:
                while True:
                    yield await ctx.sleep(1)
            finally:
                await ctx.step("close", str, held)

        count = 0
        async for _ in pages():
            count += 1
            if count == 30:
                return count
        return None

    with caplog.at_level(logging.WARNING):
        async with Harness(app) as h:
            run = await h.submit("flow")
            await h.advance(40)
            assert (await h.status(run)).is_finished
    gc.collect()
    assert not [record for record in caplog.records if "generator" in record.getMessage()]
    assert len(alive) == 0


@pytest.mark.crash
@pytest.mark.parametrize("shape", ["closure", "lambda", "annotated", "partial", "method"])
async def test_no_function_that_a_workflow_makes_outlives_its_activation(shape):
    app = Stepflow()
    alive: weakref.WeakSet[object] = weakref.WeakSet()

    class Held:
        def method(self) -> int:
            return 1

    @app.workflow("flow")
    async def flow(ctx):
        from functools import partial

        held = Held()
        alive.add(held)

        def closure():
            return len(str(held))

        def annotated() -> int:
            return len(str(held))

        functions = {
            "closure": closure, "lambda": lambda: len(str(held)), "annotated": annotated,
            "partial": partial(annotated), "method": held.method,
        }  # fmt: skip
        return await ctx.step("use", functions[shape])

    async with Harness(app) as h:
        for _ in range(20):
            assert await h.result(await h.submit("flow"))
        gc.collect()
        assert len(alive) <= 1
