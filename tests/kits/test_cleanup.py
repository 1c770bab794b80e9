"""
Stops and failures of workflows that have something to undo, on a real server with a real worker.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import redis

from stepflow import (
    AsyncClient,
    Context,
    PermanentError,
    RetryPolicy,
    RunOutcome,
    RunState,
    Stepflow,
)
from stepflow.errors import NotRetryable
from stepflow.settings import Settings
from tests.conftest import Working
from tests.support import until


async def _is(client: AsyncClient, run_id: str, state: RunState) -> bool:
    run = await client.status(run_id)
    return run is not None and run.state is state


def booking(app: Stepflow, done: list[str], *, refund_fails: bool = False) -> None:
    """Register a workflow that books, waits for a signal, and fails when it is given None."""

    async def book(name: str) -> str:
        done.append(f"book {name}")
        return name

    async def cancel(name: str) -> None:
        done.append(f"cancel {name}")
        if refund_fails:
            raise PermanentError("no refund")

    async def charge() -> None:
        raise PermanentError("declined")

    @app.workflow("booking", retry=RetryPolicy(2, initial=0.01))
    async def workflow(ctx: Context) -> str:
        await ctx.step("flight", book, "flight", compensate=cancel)
        await ctx.step("hotel", book, "hotel", compensate=cancel)
        if await ctx.wait_for_signal("go") is None:
            await ctx.step("charge", charge)
        return "booked"


async def waiting(aclient: AsyncClient, **options: Any) -> Any:
    run = await aclient.submit("booking", **options)
    await until(lambda: _is(aclient, run.id, RunState.WAITING))
    return run


UNDONE = ["book flight", "book hotel", "cancel hotel", "cancel flight"]


async def test_a_failed_run_undoes_what_it_did_and_ends_with_its_own_error(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F15] Hooks are told which compensations failed; such a run is not taken up again."""
    done: list[str] = []
    told: list[RunOutcome] = []
    booking(app, done, refund_fails=True)
    app.on_terminal(told.append)
    async with working(app):
        run = await waiting(aclient)
        await aclient.signal(run.id, "go")
        status = await run.wait(60)
        assert status.state is RunState.FAILED
        assert status.error.type == "StepFailed"
        assert "declined" in status.error.message
        assert [error.message for error in status.compensation_errors] == [
            "undo hotel: no refund",
            "undo flight: no refund",
        ]
        assert done == UNDONE
        await until(lambda: bool(told))
        assert [error.message for error in told[0].compensation_errors] == [
            "undo hotel: no refund",
            "undo flight: no refund",
        ]
        with pytest.raises(NotRetryable, match="undone"):
            await aclient.retry(run.id)


async def test_a_parked_run_that_is_cancelled_undoes_what_it_did_and_ends_as_cancelled(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F15] [F16]"""
    done: list[str] = []
    booking(app, done)
    async with working(app):
        run = await waiting(aclient)
        assert await run.cancel("changed my mind")
        status = await run.wait(60)
        assert (status.state, status.reason) == (RunState.CANCELLED, "changed my mind")
        assert done == UNDONE


async def test_a_cancelled_run_waits_for_a_worker_to_undo_what_it_did_and_says_so(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """
    [F15] With no worker there the cancel is kept; it does not end the run over what is not undone.
    """
    done: list[str] = []
    booking(app, done)
    async with working(app):
        run = await waiting(aclient)
    assert await run.cancel("enough")
    assert await run.cancel("again")
    status = await run.status()
    assert (status.state, status.is_finished) == (RunState.CANCELLING, False)
    assert done == UNDONE[:2]
    async with working(app):
        assert (await run.wait(60)).reason == "enough"
    assert done == UNDONE


async def test_a_deadline_undoes_as_well(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F15] [C23]"""
    done: list[str] = []
    booking(app, done)
    async with working(app):
        run = await waiting(aclient, timeout=timedelta(seconds=1))
        status = await run.wait(60)
        assert (status.state, status.reason) == (RunState.FAILED, "deadline")
        assert done == UNDONE


@pytest.mark.crash
async def test_undoing_may_take_longer_than_the_deadline_and_the_lease(
    url: str, settings: Settings, aclient: AsyncClient, working: Working
) -> None:
    """[F15] The claim of a run past its deadline is still renewed while it is undone."""
    brief = settings.worker.model_copy(update={"lease_s": 2.0, "stop_grace_s": 0.1})
    app = Stepflow(url, settings=settings.model_copy(update={"worker": brief}))
    begun: list[str] = []

    async def undo(value: str) -> None:
        begun.append(value)
        await asyncio.sleep(3.0)

    @app.workflow("slow")
    async def slow(ctx: Context) -> None:
        await ctx.step("a", str, "a", compensate=undo)
        await ctx.wait_for_signal("never")

    async with working(app):
        run = await aclient.submit("slow", timeout=2.0)
        status = await run.wait(60)
        assert (status.reason, status.crashes) == ("deadline", 0)
        assert begun == ["a"]


async def test_a_cancel_while_a_failed_run_waits_to_undo_changes_nothing_and_keeps_no_worker_busy(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """
    [F15] It fails by its own error; the wait between the attempts of its compensation is still a
    wait.
    """
    tries: list[str] = []

    def undo(value: str) -> None:
        tries.append(value)
        if len(tries) == 1:
            raise ValueError("not yet")

    @app.workflow("w", retry=RetryPolicy(2, initial=1.0, jitter=False))
    async def workflow(ctx: Context) -> None:
        await ctx.step("a", str, "a", compensate=undo)
        raise ValueError("wrong")

    async with working(app):
        run = await aclient.submit("w")
        await until(lambda: _is(aclient, run.id, RunState.WAITING))
        assert await run.cancel("enough")
        status = await run.wait(60)
        assert (status.state, status.error.message) == (RunState.FAILED, "wrong")
        assert tries == ["a", "a"]
        assert status.step <= 3


async def test_a_running_workflow_that_is_cancelled_undoes_what_it_did(
    app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """
    [F15] [F16] Its compensations have their own time: the grace of a stopped step does not cut them
    short.
    """
    assert app.settings.worker.stop_grace_s < 0.8
    done: list[str] = []
    started = asyncio.Event()

    async def undo(value: str) -> None:
        await asyncio.sleep(0.8)
        done.append(f"undone {value}")

    async def long() -> None:
        started.set()
        await asyncio.sleep(60)

    @app.workflow("long")
    async def workflow(ctx: Context) -> None:
        try:
            await ctx.step("a", str, "a", compensate=undo)
            await ctx.step("long", long)
        finally:
            done.append(await ctx.step("tidy", str, "tidy"))

    async with working(app):
        run = await aclient.submit("long")
        await started.wait()
        assert await run.cancel("stop")
        assert (await run.wait(60)).state is RunState.CANCELLED
    assert done == ["tidy", "undone a"]
    assert real.zcard("stepflow:deadlines") == 0


async def test_a_parked_workflow_runs_its_finally_steps_when_it_is_cancelled(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F16]"""
    done: list[str] = []

    @app.workflow("tidy")
    async def tidy(ctx: Context) -> None:
        try:
            await ctx.wait_for_signal("never")
        finally:
            await ctx.step("close", lambda: done.append("closed"))

    async with working(app):
        run = await aclient.submit("tidy")
        await until(lambda: _is(aclient, run.id, RunState.WAITING))
        assert done == []
        assert await run.cancel()
        assert (await run.wait(60)).state is RunState.CANCELLED
        assert done == ["closed"]


async def test_failing_by_hand_ends_a_waiting_run_at_once_and_undoes_nothing(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F5]"""
    done: list[str] = []
    booking(app, done)
    async with working(app):
        run = await waiting(aclient)
        assert await aclient.fail(run.id, "not wanted any more")
        status = await run.status()
        assert (status.state, status.error.type, status.reason) == (
            RunState.FAILED,
            "FailedByHand",
            "not wanted any more",
        )
        assert not await aclient.fail(run.id)
    assert done == UNDONE[:2]


async def test_a_second_failing_by_hand_ends_a_cancelled_run_that_nobody_can_undo(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F5] [F15] Its worker is gone; the cancel would wait for another."""
    booking(app, [])
    async with working(app):
        run = await waiting(aclient)
    assert await run.cancel("enough")
    assert await aclient.fail(run.id, "there is no such worker any more")
    status = await run.status()
    assert (status.state, status.reason) == (RunState.FAILED, "there is no such worker any more")
