"""Pausing by hand on a real server: where a run stands meanwhile, and where it goes on."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from stepflow import (
    Context,
    Continue,
    NotPausable,
    NotResumable,
    NotScheduled,
    RetryPolicy,
    RunNotFound,
    Succeed,
)
from stepflow.core.run import RunState
from stepflow.worker.recover import recover_lapsed
from tests.support import runs_of, until

LATER_S = 1000.0


async def in_state(client: Any, run_id: str, state: str) -> bool:
    return (await client.status(run_id)).state == state


def stands(real: Any, keys: Any) -> bool:
    """Whether nothing leads to any run: it is in no queue, not due, not claimed."""
    return not (
        real.zcard(keys.due) or real.zcard(keys.queued_at("default")) or real.zcard(keys.claims)
    ) and not list(real.scan_iter("rq:job:*"))


@pytest.fixture
def waits(app: Any) -> Any:
    """Runners and workflows that wait in each way."""

    @app.runner("broken", retry=RetryPolicy(initial=LATER_S, jitter=False))
    async def broken(step: Any) -> Any:
        if step.attempt == 1:
            raise ValueError
        return Succeed(step.attempt)

    @app.workflow("nap")
    async def nap(ctx: Context) -> str:
        await ctx.sleep(LATER_S)
        return "awake"

    @app.workflow("review")
    async def review(ctx: Context) -> Any:
        return await ctx.wait_for_signal("review", timeout=LATER_S)

    @app.workflow("asks")
    async def asks(ctx: Context) -> Any:
        return await ctx.ask(bool, "Publish?")

    return app


WAITS = {
    "pending": ({"runner": "nobody"}, "pending"),
    "scheduled": ({"runner": "broken", "delay": LATER_S}, "scheduled"),
    "a retry": ({"runner": "broken"}, "scheduled"),
    "a sleep": ({"runner": "nap"}, "waiting"),
    "a signal": ({"runner": "review"}, "waiting"),
    "a question": ({"runner": "asks"}, "waiting"),
}


@pytest.mark.parametrize("name", WAITS)
async def test_a_run_that_waits_stands_at_once_and_is_put_back_where_it_stood(
    waits, aclient, working, real, keys, name
):
    """[O9] With the due time and the attempts it had."""
    options, state = WAITS[name]
    async with working(waits):
        run = await aclient.submit(**options)
        await until(lambda: in_state(aclient, run.id, state))
        if name == "a retry":
            await until(lambda: real.hget(keys.run(run.id), "failures") == b"1")
        before = await run.status()
        assert await aclient.pause(run.id, "provider down", by="ann")
        paused = await run.status()
        assert (paused.state, paused.reason) == ("paused", "provider down")
        assert "ann" in paused.waits_for
        assert stands(real, keys)
        await aclient.resume(run.id)
        after = await run.status()
        assert (after.state, after.due_at, after.attempt, after.waits_for) == (
            before.state, before.due_at, before.attempt, before.waits_for,
        )  # fmt: skip
        assert (real.zscore(keys.due, f"run:{run.id}") is not None) == bool(after.due_at)
        assert await run.cancel()


async def test_a_run_that_was_due_meanwhile_goes_on_when_it_is_resumed(
    waits, aclient, working, real, keys
):
    """[O9]"""
    async with working(waits):
        run = await aclient.submit("review")
        await until(lambda: in_state(aclient, run.id, "waiting"))
        assert await aclient.pause(run.id)
        stood = real.hget(keys.run(run.id), "stood").decode()
        real.hset(keys.run(run.id), "stood", stood.rpartition("|")[0] + "|1000.000000")
        await aclient.resume(run.id)
        # the workflow looks at the time it noted itself, and waits on
        await until(lambda: in_state(aclient, run.id, "waiting"))
        assert real.hget(keys.run(run.id), "handoff") == b"0"
        assert await run.cancel()


async def test_a_paused_run_takes_signals_and_answers_and_hears_of_them_when_resumed(
    waits, aclient, working
):
    """[O9] The signal and the answer do not wake it."""
    async with working(waits):
        review, asks = await aclient.submit("review"), await aclient.submit("asks")
        for run in (review, asks):
            await until(lambda run=run: in_state(aclient, run.id, "waiting"))
            assert await aclient.pause(run.id)
        assert await aclient.signal(review.id, "review", 7) == "buffered"
        [question] = await aclient.questions()
        await aclient.answer(question.token, True)
        for run, result in ((review, 7), (asks, True)):
            assert await in_state(aclient, run.id, "paused")
            await aclient.resume(run.id)
            assert await run.result(60) == result


@pytest.fixture
def held(app: Any) -> Any:
    """A runner of two steps and a workflow of two, both held in their first one."""
    app.began, app.goes_on, app.ran = asyncio.Event(), asyncio.Event(), []

    async def hold(name: str) -> str:
        app.ran.append(name)
        app.began.set()
        await app.goes_on.wait()
        return name

    @app.runner("held")
    async def held(step: Any) -> Any:
        await hold(f"step {step.number}")
        return Continue("two") if step.number == 0 else Succeed(step.payload)

    @app.workflow("work")
    async def work(ctx: Context) -> Any:
        return [await ctx.step(hold, "first"), await ctx.step(hold, "second")]

    return app


@pytest.mark.parametrize(
    ("runner", "first", "result"),
    [("held", "step 0", "two"), ("work", "first", ["first", "second"])],
)
async def test_a_running_run_stands_when_its_step_is_done_and_the_step_counts(
    held, aclient, working, real, keys, runner, first, result
):
    """[O9] It does nothing twice, whether it is a chain of steps or a workflow."""
    async with working(held):
        run = await aclient.submit(runner)
        await held.began.wait()
        assert not await aclient.pause(run.id, "wait", by="ann")
        assert (await run.status()).state == "running"
        held.goes_on.set()
        await until(lambda: in_state(aclient, run.id, "paused"))
        assert held.ran == [first]
        assert stands(real, keys)
        await aclient.resume(run.id)
        assert await run.result(60) == result
        assert len(held.ran) == 2
        assert not real.hget(keys.run(run.id), "pause")


async def test_a_workflow_whose_worker_missed_the_message_stands_between_two_steps(
    held, aclient, working, monkeypatch
):
    """[O9] The renewal of its claim says it as well."""
    monkeypatch.setattr("stepflow.worker.worker.handle_message", lambda message, state: None)
    async with working(held) as worker:
        run = await aclient.submit("work")
        await held.began.wait()
        assert not await aclient.pause(run.id)
        claimed = worker.worker_state.runs[run.id]
        await until(lambda: claimed.must_let_go)
        held.goes_on.set()
        await until(lambda: in_state(aclient, run.id, "paused"))
        assert held.ran == ["first"]
        await aclient.resume(run.id)
        await run.result(60)


async def test_a_request_to_pause_is_taken_back_by_resume(held, aclient, working):
    """[O9]"""
    async with working(held):
        run = await aclient.submit("held")
        await held.began.wait()
        assert not await aclient.pause(run.id)
        await aclient.resume(run.id)
        with pytest.raises(NotResumable, match="running"):
            await aclient.resume(run.id)
        held.goes_on.set()
        assert await run.result(60) == "two"


async def test_a_run_that_ends_by_its_step_has_ended_although_it_was_asked_to_pause(
    held, aclient, working, real, keys
):
    """[O9]"""

    @held.runner("last")
    async def last(step):
        held.began.set()
        await held.goes_on.wait()
        return Succeed("done")

    async with working(held):
        run = await aclient.submit("last")
        await held.began.wait()
        await aclient.pause(run.id)
        held.goes_on.set()
        assert await run.result(60) == "done"
        assert not real.hget(keys.run(run.id), "pause")


async def test_a_run_asked_to_pause_whose_worker_dies_stands(aclient, ghost, keys, real):
    """[O9] Its step counts as lost, as ever, and does not run again before somebody resumes it."""
    run = await aclient.submit("x")
    ghost.claim("x")
    assert not await aclient.pause(run.id, "wait")
    ghost.die()
    assert await aclient._do(recover_lapsed(f"run:{run.id}", aclient.env))
    status = await run.status()
    assert (status.state, status.reason, status.crashes) == ("paused", "wait", 1)
    assert stands(real, keys)
    await aclient.resume(run.id)
    status = await run.status()
    assert (status.state, status.crashes) == ("pending", 1)
    assert len(ghost.claim("x")) == 1
    ghost.die()


@pytest.mark.usefixtures("quick")
async def test_the_timeout_of_a_paused_run_ends_it(waits, aclient, working):
    """[O9]"""
    async with working(waits):
        run = await aclient.submit("review", timeout=0.3)
        await until(lambda: in_state(aclient, run.id, "waiting"))
        assert await aclient.pause(run.id)
        assert (await run.wait(60)).reason == "deadline"


@pytest.mark.usefixtures("quick")
async def test_the_timeout_of_a_paused_run_is_put_back_into_its_index(
    waits, aclient, working, real, keys
):
    """[O9] [B19]"""
    async with working(waits):
        run = await aclient.submit("review", timeout=LATER_S)
        await until(lambda: in_state(aclient, run.id, "waiting"))
        assert await aclient.pause(run.id)
        real.delete(keys.deadlines)
        await until(lambda: real.zscore(keys.deadlines, run.id))
        await run.cancel()


async def test_pausing_twice_keeps_the_first_reason_and_an_ended_run_is_refused(aclient):
    """[O9]"""
    run = await aclient.submit("x")
    assert await aclient.pause(run.id, "first", by="ann")
    assert await aclient.pause(run.id, "second", by="bob")
    status = await run.status()
    assert status.reason == "first"
    assert "ann" in status.waits_for
    assert await run.cancel()
    with pytest.raises(NotPausable, match="cancelled"):
        await aclient.pause(run.id)
    with pytest.raises(RunNotFound):
        await aclient.pause("nobody")


async def test_a_run_that_is_being_stopped_is_not_paused(held, aclient, working):
    """[O9]"""
    async with working(held):
        run = await aclient.submit("work")
        await held.began.wait()
        await run.cancel()
        with pytest.raises(NotPausable, match="stop"):
            await aclient.pause(run.id)
        held.goes_on.set()
        await run.wait(60)


async def test_a_paused_run_is_stopped_like_any_other(waits, aclient, working, real, keys):
    """[O9] [C25]"""
    async with working(waits):
        run = await aclient.submit("review")
        await until(lambda: in_state(aclient, run.id, "waiting"))
        await aclient.pause(run.id)
        assert await run.cancel("enough")
        assert (await run.status()).state == "cancelled"
        assert not real.hget(keys.run(run.id), "pause")


async def test_who_and_why_are_kept_whatever_they_are_called(aclient, keys, real):
    """[O9]"""
    run = await aclient.submit("x")
    await aclient.pause(run.id, "a | b\nc", by="an|n%7C ü")
    pause = (await aclient._do(_run(run.id, aclient.env))).pause
    assert (pause.by, pause.reason) == ("an|n%7C ü", "a | b\nc")
    assert pause.stood.state is RunState.PENDING
    await run.cancel()


async def _run(run_id, env):
    from stepflow.store.runs import load_run

    return await load_run(env.keys, run_id)


async def test_a_child_that_waits_for_its_turn_keeps_it_while_it_is_paused(
    app, aclient, working, real, keys
):
    """[O9] It takes the turn when that comes, and begins when it is resumed."""
    goes_on, began = threading.Event(), []

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> int:
        return await ctx.step(work, number)

    def work(number: int) -> int:
        began.append(number)
        goes_on.wait(60)
        return number

    @app.workflow("parent")
    async def parent(ctx: Context) -> Any:
        return await ctx.map("child", [0, 1, 2], limit=1)

    async with working(app):
        run = await aclient.submit("parent")
        await until(lambda: began == [0])
        second = next(run_id for run_id in runs_of(real, "child", keys) if run_id.endswith("-1"))
        assert await aclient.pause(second)
        await aclient.resume(second)
        assert real.hget(keys.run(second), "parked") == b"limit"
        assert await aclient.pause(second)
        goes_on.set()
        await until(lambda: real.hget(keys.run(second), "stood") == b"pending||0|")
        assert began == [0]
        await aclient.resume(second)
        assert await run.result(60) == [0, 1, 2]
        assert began == [0, 1, 2]


# run now


async def test_what_is_scheduled_or_waits_for_its_next_attempt_runs_now(
    waits, aclient, working, real, keys
):
    """[O10] Its attempts go on counting."""
    async with working(waits):
        run = await aclient.submit("broken", delay=LATER_S)
        assert await aclient.run_now(run.id)
        await until(lambda: real.hget(keys.run(run.id), "failures") == b"1")
        await until(lambda: in_state(aclient, run.id, "scheduled"))
        assert await aclient.run_now(run.id)
        assert await run.result(60) == 2


async def test_only_what_waits_for_a_time_of_its_own_runs_now(aclient, real, keys):
    """[O10] A second call finds it in its queue."""
    run = await aclient.submit("x", delay=LATER_S)
    assert await aclient.run_now(run.id)
    assert not await aclient.run_now(run.id)
    assert real.lrange("rq:queue:default", 0, -1) == [f"run-{run.id}-0-r1".encode()]
    await aclient.pause(run.id)
    with pytest.raises(NotScheduled, match="paused"):
        await aclient.run_now(run.id)
    await run.cancel()
    with pytest.raises(NotScheduled, match="cancelled"):
        await aclient.run_now(run.id)
    with pytest.raises(RunNotFound):
        await aclient.run_now("nobody")
