"""Pausing a queue on a real server: nothing is taken from it, and what a worker has is left."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from stepflow import Context, Continue, Succeed
from stepflow.core.run import Priority
from tests.support import until


@pytest.fixture
def counting(app: Any) -> Any:
    """A runner that goes on and on until it is told to end, and a workflow that does."""
    app.steps, app.is_over = 0, False

    @app.runner("chain")
    async def chain(step: Any) -> Any:
        app.steps += 1
        return Succeed(step.number) if app.is_over else Continue()

    def count() -> None:
        app.steps += 1

    @app.workflow("loop")
    async def loop(ctx: Context) -> int:
        number = 0
        while not app.is_over:
            await ctx.step("count", count)
            number += 1
        return number

    @app.runner("quick")
    async def quick(step: Any) -> Any:
        return Succeed()

    return app


@pytest.mark.parametrize("priority", [*Priority, 0, 9])
async def test_nothing_is_taken_from_a_paused_queue_at_any_priority(
    counting, aclient, working, real, keys, priority
):
    """[O12] Other queues go on; `resume` wakes an idle worker at once."""
    assert await aclient.pause_queue("mail", "provider down", by="ann")
    async with working(counting, queues=["mail", "default"]):
        run = await aclient.submit("quick", queue="mail", priority=priority)
        other = await aclient.submit("quick")
        await other.result(60)
        status = await run.status()
        assert status.state == "pending"
        assert "ann paused it" in status.waits_for
        assert status.waits_for.endswith(": provider down")
        assert await aclient.resume_queue("mail")
        await run.result(60)
    assert not real.exists(keys.paused_queues)


@pytest.mark.parametrize("runner", ["chain", "loop"])
async def test_a_kept_run_goes_back_to_its_paused_queue_after_its_step(
    counting, aclient, working, real, keys, runner
):
    """[O12] [O9] A workflow between two of its steps."""
    async with working(counting, queues=["mail", "default"]) as worker:
        run = await aclient.submit(runner, queue="mail")
        await until(lambda: counting.steps > 3)
        await aclient.pause_queue("mail")
        await until(lambda: not worker.worker_state.runs)
        status = await run.status()
        assert (status.state, status.attempt) == ("pending", 1)
        assert real.zscore(keys.queued_at("mail"), f"run:{run.id}")
        counting.is_over = True
        if runner == "chain":
            await aclient.resume_queue("mail")
            assert await run.result(60) == counting.steps - 1
        else:
            await run.cancel()
            await aclient.resume_queue("mail")


async def test_a_worker_that_was_not_told_leaves_the_run_with_its_next_round(
    counting, aclient, working, monkeypatch
):
    """[O12]"""
    monkeypatch.setattr("stepflow.worker.worker.handle_message", lambda message, state: None)
    async with working(counting, queues=["mail"]) as worker:
        run = await aclient.submit("chain", queue="mail")
        await until(lambda: counting.steps > 3)
        await aclient.pause_queue("mail")
        await until(lambda: not worker.worker_state.runs)
        counting.is_over = True
        await aclient.resume_queue("mail")
        await run.result(60)


async def test_what_comes_due_or_is_woken_waits_in_its_paused_queue(
    aclient, app, working, keys, real
):
    """[O12]"""

    @app.workflow("review")
    async def review(ctx: Context) -> Any:
        return await ctx.wait_for_signal("review")

    async with working(app, queues=["mail"]):
        run = await aclient.submit("review", queue="mail")
        await until(lambda: real.hget(keys.run(run.id), "state") == b"waiting")
        await aclient.pause_queue("mail")
        later = await aclient.submit("review", queue="mail", delay=0.01)
        assert await aclient.signal(run.id, "review", 1) == "delivered"
        await until(lambda: real.zcard(keys.queued_at("mail")) == 2)
        await aclient.resume_queue("mail")
        assert await run.result(60) == 1
        await aclient.signal(later.id, "review", 2)
        assert await later.result(60) == 2


async def test_the_first_one_who_pauses_a_queue_stays_and_queues_say_who(aclient, keys, real):
    """[O12] Also of a queue that never held anything."""
    assert await aclient.pause_queue("mail", "first", by="ann|x")
    assert not await aclient.pause_queue("mail", "second", by="bob")
    [queue] = await aclient.queues()
    assert (queue.queue, queue.paused.by, queue.paused.reason) == ("mail", "ann|x", "first")
    run = await aclient.submit("x", queue="mail", priority="high")
    assert {info.paused.by for info in await aclient.queues()} == {"ann|x"}
    assert await aclient.resume_queue("mail")
    assert not await aclient.resume_queue("mail")
    assert not any(info.paused for info in await aclient.queues())
    await run.cancel()


async def test_a_claim_asks_for_nothing_more_while_no_queue_is_paused(
    counting, aclient, working, real
):
    """[O12] Neither do kept steps and rounds: the same commands as for RQ being suspended."""
    real.config_resetstat()
    async with working(counting):
        run = await aclient.submit("chain")
        await until(lambda: counting.steps > 50)
        counting.is_over = True
        await run.result(60)
    counts = {name.removeprefix("cmdstat_"): row for name, row in real.info("commandstats").items()}
    assert "hexists" not in counts


async def test_hooks_go_on_while_a_queue_is_paused(aclient, counting, working):
    """[O12]"""
    told = threading.Event()

    @counting.on_terminal
    async def note(outcome: Any) -> None:
        told.set()

    async with working(counting):
        await aclient.pause_queue("default")
        run = await aclient.submit("quick")
        await run.cancel()
        await asyncio.to_thread(told.wait, 10)
        assert told.is_set()
        await aclient.resume_queue("default")
