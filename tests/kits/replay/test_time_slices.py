"""
A workflow that always has something to do: it makes room for others, and for its worker to leave.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from stepflow import AsyncClient, Context, RunState, Step, Stepflow, Succeed
from stepflow.core.outcomes import Outcome
from stepflow.kits.flow.replay.time_slice import TimeSlice
from tests.conftest import Working
from tests.support import until

#: more steps than anybody here waits for
ENDLESS = 3000


class Steps:
    """Steps that take a moment and are counted, each by its number."""

    def __init__(self) -> None:
        self.count: Counter[int] = Counter()

    async def take(self, number: int) -> int:
        self.count[number] += 1
        await asyncio.sleep(0.002)
        return number


@pytest.fixture
def steps(app: Stepflow) -> Steps:
    made = Steps()
    met: list[str] = []

    @app.workflow("long")
    async def long(ctx: Context) -> str:
        for number in range(ENDLESS):
            if await ctx.step("take", made.take, number) and await ctx.step(
                "met", lambda: bool(met)
            ):
                return "met"
        return "alone"

    @app.workflow("tidy")
    async def tidy(ctx: Context) -> None:
        try:
            for number in range(ENDLESS):
                await ctx.step("take", made.take, number)
        finally:
            await ctx.step("tidied", met.append, "tidied")

    @app.runner("short")
    async def short(step: Step) -> Outcome:
        met.append(step.run_id)
        return Succeed()

    return made


@pytest.fixture
def short_turns(app: Stepflow) -> None:
    app.settings.worker.__dict__["slice_s"] = 0.002


@pytest.mark.usefixtures("short_turns")
async def test_a_long_workflow_makes_room_for_who_waits(
    app: Stepflow, aclient: AsyncClient, working: Working, steps: Steps
) -> None:
    async with working(app, concurrency=1):
        run = await aclient.submit("long")
        await until(lambda: steps.count[3])
        await (await aclient.submit("short")).wait(60)
        assert await run.result(60) == "met"
    assert set(steps.count.values()) == {1}


@pytest.mark.usefixtures("short_turns")
async def test_a_long_workflow_keeps_its_worker_while_nobody_waits(
    app: Stepflow,
    aclient: AsyncClient,
    working: Working,
    steps: Steps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    is_over = TimeSlice.is_over

    async def noted(time_slice: TimeSlice) -> bool:
        asked.append(await is_over(time_slice))
        return asked[-1]

    monkeypatch.setattr(TimeSlice, "is_over", noted)
    async with working(app, concurrency=1):
        run = await aclient.submit("long")
        await until(lambda: len(asked) > 3)
        assert not any(asked)
        await aclient.cancel(run.id)
        await run.wait(60)


@pytest.mark.usefixtures("short_turns")
async def test_a_worker_that_leaves_takes_no_further_step_and_none_is_made_twice(
    app: Stepflow, aclient: AsyncClient, working: Working, steps: Steps
) -> None:
    """The grace, 30 s, is for the step that runs; the next one is another worker's."""
    async with working(app, concurrency=1):
        run = await aclient.submit("long")
        await until(lambda: steps.count[3])
    status = await run.status()
    assert status is not None
    assert status.state is RunState.PENDING
    assert status.attempt == 1
    async with working(app, concurrency=1):
        await (await aclient.submit("short")).wait(60)
        assert await run.result(60) == "met"
    assert set(steps.count.values()) == {1}


@pytest.mark.usefixtures("short_turns")
async def test_a_run_that_yielded_its_slot_still_has_its_cleanup(
    app: Stepflow, aclient: AsyncClient, working: Working, steps: Steps
) -> None:
    """[F16]"""
    async with working(app, concurrency=1):
        run = await aclient.submit("tidy")
        await until(lambda: steps.count[3])
    assert await aclient.cancel(run.id)
    async with working(app, concurrency=1):
        status = await run.wait(60)
    assert status.state is RunState.CANCELLED
    assert [entry["name"] for entry in (await aclient.history(run.id))["journal"]][-1] == "tidied"
