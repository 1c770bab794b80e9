"""A run's timeout undoes what the run has done, or ends it as it stands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stepflow import AsyncClient, Client, Context, PermanentError, RunOutcome, RunState, Stepflow
from stepflow.errors import InvalidOption
from stepflow.testing import Harness
from tests.conftest import Working
from tests.support import until


def booking(app: Stepflow, done: list[str]) -> None:  # noqa: C901  a case for each way to stand
    """Register a workflow that books what it can undo, and then does what its input says."""

    async def book() -> None:
        done.append("book")

    async def undo(booked: None) -> None:
        done.append("undo")

    async def long() -> None:
        done.append("long")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            done.append("told to stop")
            raise

    async def fail() -> None:
        raise PermanentError("no")

    @app.workflow
    async def child(ctx: Context) -> None:
        await ctx.wait_for_signal("never")

    @app.workflow
    async def trip(ctx: Context, how: str) -> None:
        await ctx.step(book, compensate=undo)
        try:
            match how:
                case "waits":
                    await ctx.wait_for_signal("go")
                case "works":
                    await ctx.step(long)
                case "has a child":
                    begun = await ctx.spawn(child, key="c")
                    await begun.result()
                case "spawns":
                    begun = await ctx.spawn(trip, "waits", timeout=30, on_timeout="end")
                    await begun.result()
                case "fails":
                    await ctx.step(fail)
        finally:
            await ctx.step("tidy", done.append, "tidy")


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("on_timeout", "left"), [("end", ["book"]), ("undo", ["book", "tidy", "undo"])]
)
async def test_a_waiting_run_ends_as_it_stands_or_undoes(done, on_timeout: Any, left) -> None:
    """[K21] Its hooks are told the same of either."""
    app = Stepflow("redis://unused")
    booking(app, done)
    told: list[RunOutcome] = []
    app.on_terminal(told.append)
    async with Harness(app) as h:
        run = await h.submit("trip", "waits", timeout=60, on_timeout=on_timeout)
        await h.advance(61)
        status = await h.status(run)
    assert (status.state, status.reason, status.error.type) == (
        RunState.FAILED, "deadline", "DeadlineExceeded",
    )  # fmt: skip
    assert done == left
    assert [one.reason for one in told] == ["deadline"]


async def test_a_run_at_work_is_told_to_stop_and_nothing_is_undone(
    app: Stepflow, client: Client, aclient: AsyncClient, working: Working, done
) -> None:
    """[K21] Neither is a `finally` of its workflow carried out."""
    booking(app, done)
    async with working(app):
        run = await aclient.submit("trip", "works", timeout=0.5, on_timeout="end")
        await until(lambda: "long" in done)
        status = await run.wait(60)
        assert (status.state, status.reason) == (RunState.FAILED, "deadline")
        await until(lambda: "told to stop" in done)
    assert done == ["book", "long", "told to stop"]


async def test_without_a_worker_it_ends_when_one_comes(
    app: Stepflow, aclient: AsyncClient, working: Working, done
) -> None:
    """[K21] One whose worker was killed in the middle undoes nothing either."""
    booking(app, done)
    run = await aclient.submit("trip", "waits", timeout=0.1, on_timeout="end")
    await asyncio.sleep(0.15)
    async with working(app):
        status = await run.wait(60)
    assert (status.state, status.reason) == (RunState.FAILED, "deadline")
    assert done == []


async def test_a_failure_before_it_is_undone_as_ever_also_past_the_timeout(done) -> None:
    """[K21] What has begun to undo goes on."""
    app = Stepflow("redis://unused")
    booking(app, done)
    async with Harness(app) as h:
        run = await h.submit("trip", "fails", timeout=60, on_timeout="end")
        await h.advance(120)
        status = await h.status(run)
    assert status.error.type == "StepFailed"
    assert done == ["book", "tidy", "undo"]


async def test_a_cancel_before_it_undoes_as_ever(
    app: Stepflow, aclient: AsyncClient, working: Working, done
) -> None:
    """[K21] Whichever stop comes first counts, though its cleanup meets the timeout."""
    booking(app, done)
    async with working(app):
        run = await aclient.submit("trip", "waits", timeout=0.5, on_timeout="end")
        await until(lambda: done)
    await run.cancel("enough")
    await asyncio.sleep(0.5)
    async with working(app):
        status = await run.wait(60)
    assert (status.state, status.reason) == (RunState.CANCELLED, "enough")
    assert done == ["book", "tidy", "undo"]


async def test_children_end_with_it_and_may_have_one_of_their_own(done) -> None:
    """[K21]"""
    app = Stepflow("redis://unused")
    booking(app, done)
    async with Harness(app) as h:
        run = await h.submit("trip", "has a child", timeout=60, on_timeout="end")
        await h.advance(61)
        assert (await h.status(run)).reason == "deadline"
        [child] = (await h.client.list(runner="child")).runs
        assert child.state is RunState.CANCELLED
        assert done == ["book"]
        done.clear()
        other = await h.submit("trip", "spawns")
        await h.advance(31)
        assert (await h.status(other)).state is RunState.FAILED
    assert done == ["book", "book", "tidy", "undo"]


def test_another_word_is_refused(client: Client) -> None:
    """[K21]"""
    with pytest.raises(InvalidOption, match="neither 'undo' nor 'end'"):
        client.submit("trip", timeout=1, on_timeout="stop")  # type: ignore[arg-type]


def test_a_run_without_it_has_no_field_for_it(client: Client, real) -> None:
    """[K21]"""
    client.submit("trip", run_id="a", timeout=60)
    client.submit("trip", run_id="b", timeout=60, on_timeout="end")
    fields = [set(real.hkeys(f"stepflow:run:{run_id}")) for run_id in "ab"]
    assert fields[1] - fields[0] == {b"hard_end"}
    client.fail("a")
    client.fail("b")
