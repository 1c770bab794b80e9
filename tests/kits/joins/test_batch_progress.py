"""[K4] How far a batch has come, wherever somebody looks; a real worker on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import AsyncClient, Context, Failed, PermanentError, RetryPolicy, Stepflow, StepKind
from stepflow.cli.look.words import told
from stepflow.testing import Harness
from tests.conftest import Working
from tests.support import until

ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def resizing(app: Stepflow) -> tuple[Stepflow, asyncio.Event]:
    """An app whose batch of ten stops for a moment before its last items; the third fails."""
    released = asyncio.Event()

    async def resize(number: int) -> int:
        if number == 2:
            raise PermanentError("no")
        if number >= 8:
            await released.wait()
        return number

    @app.workflow("resize-all")
    async def resize_all(ctx: Context) -> Any:
        found = await ctx.batch("resize", resize, range(10), limit=3, errors="slot", retry=ONCE)
        return [f"failed {each.index}" if isinstance(each, Failed) else each for each in found]

    return app, released


async def test_progress_is_in_status_steps_and_events(
    resizing: tuple[Stepflow, asyncio.Event], aclient: AsyncClient, working: Working
) -> None:
    app, released = resizing

    async def shown() -> bool:
        status = await run.status()
        return status is not None and status.waits_for == "batch resize: 8 of 10, 1 failed"

    async with working(app):
        run = await aclient.submit("resize-all")
        await until(shown)
        timeline = await aclient.steps(run.id)
        [step] = [step for step in timeline.steps if step.kind is StepKind.BATCH]
        assert (step.name, step.done, step.total, step.failed) == ("resize", 8, 10, 1)
        assert step.progress == "8 of 10, 1 failed"
        assert told(step, step.started_at) == "runs batch 'resize': 8 of 10, 1 failed"
        now = await aclient.now(run.id)
        assert {each.name for each in now.steps} == {"resize[8]", "resize[9]"}
        released.set()
        assert await run.result(60) == [0, 1, "failed 2", *range(3, 10)]
    [step] = (await aclient.steps(run.id)).steps
    assert (step.state, step.done, step.failed) == ("succeeded", 10, 1)
    events = [event async for event in aclient.events(run.id, live=False)]
    far = [event.details for event in events if event.type == "batch.progress"]
    last = {"step": "resize", "place": "0", "total": 10, "done": 10, "failed": 1}
    assert far[-1] == last
    assert [each["done"] for each in far] == sorted({each["done"] for each in far})


async def test_a_worker_that_dies_at_any_entry_of_a_batch_costs_no_answer() -> None:
    """As a test of yours does it."""
    app, calls = Stepflow(), []

    @app.workflow("all")
    async def work_all(ctx: Context) -> Any:
        async def one(number: int) -> int:
            calls.append(number)
            return number

        return await ctx.batch("one", one, range(5), limit=1)

    for written in (True, False):
        calls.clear()
        async with Harness(app) as h:
            h.crash_after("one", written=written)
            run = await h.submit("all")
            assert await h.result(run) == [0, 1, 2, 3, 4]
        assert calls == ([0, 1, 2, 3, 4] if written else [0, 0, 1, 2, 3, 4])


async def test_a_failed_batch_that_is_retried_keeps_its_answers(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """The error and the failed attempts are forgotten, as those of a step are."""
    calls: list[int] = []
    is_mended = False

    @app.workflow("all")
    async def work_all(ctx: Context) -> Any:
        async def one(number: int) -> int:
            calls.append(number)
            if number == 3 and not is_mended:
                raise ValueError("broken")
            return number

        policy = RetryPolicy(max_attempts=2, initial=0.001)
        return await ctx.batch("one", one, range(5), limit=1, retry=policy)

    async with working(app):
        run = await aclient.submit("all")
        status = await run.wait(60)
        assert status.error is not None
        assert "[3] broken" in status.error.message
        is_mended = True
        await aclient.retry(run.id)
        assert await run.result(60) == [0, 1, 2, 3, 4]
    assert calls == [0, 1, 2, 3, 3, 3, 4]
