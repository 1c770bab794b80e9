"""Cancelling a run in each of its states, and who wins when a cancel and an outcome meet."""

import asyncio
import threading
from types import SimpleNamespace

import pytest

from stepflow import Cancel, Continue, Fail, PermanentError, RetryPolicy, RunCancelled, Succeed
from stepflow.core.run import StopKind, StopRequest
from stepflow.engine.cancel import stop_run
from stepflow.errors import CancelRequested
from tests.support import until

QUICK = RetryPolicy(max_attempts=3, initial=0.001, jitter=False)


async def in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


@pytest.fixture
def held(app):
    """
    A runner that holds its step: what it does once its token has fired is chosen by the payload.
    """

    held = SimpleNamespace(started=asyncio.Event(), attempts=[])

    @app.runner("held", retry=QUICK)
    async def run_held(step):
        held.attempts.append((step.number, step.attempt))
        held.started.set()
        reason = await step.cancel.wait()
        match step.payload:
            case "succeed":
                return Succeed("done")
            case "continue":
                return Continue()
            case "fail":
                return Fail("mine")
            case "cancel":
                return Cancel("my own reason")
            case "raise":
                raise ValueError
            case "permanent":
                raise PermanentError
            case "raise_if_set":
                step.cancel.raise_if_set()
        return reason

    return held


@pytest.mark.parametrize("delay", [None, 1000])
async def test_a_waiting_run_is_cancelled_before_cancel_returns(aclient, real, keys, delay):
    """[C25] Pending or scheduled; its RQ job hash is deleted."""
    run = await aclient.submit("x", run_id="a", delay=delay)
    assert await run.cancel("changed my mind")
    status = await run.status()
    assert (status.state, status.reason) == ("cancelled", "changed my mind")
    assert not list(real.scan_iter("rq:job:*"))
    assert (
        real.zcard(keys.due) == real.zcard(keys.live) == real.zcard(keys.queued_at("default")) == 0
    )


async def test_a_run_that_backs_off_is_cancelled_before_cancel_returns(app, aclient, working):
    """[C25]"""

    @app.runner("broken", retry=RetryPolicy(initial=1000))
    async def broken(step):
        raise ValueError

    async with working(app):
        run = await aclient.submit("broken")
        await until(lambda: in_state(run, "scheduled"))
        assert await run.cancel()
        assert (await run.status()).state == "cancelled"


async def test_the_id_left_in_the_queue_is_dropped_when_popped(app, aclient, working, real):
    """[C25]"""
    ran = []

    @app.runner("x")
    async def x(step):
        ran.append(step.run_id)
        return Succeed()

    gone = await aclient.submit("x")
    stays = await aclient.submit("x")
    await gone.cancel()
    assert real.llen("rq:queue:default") == 2
    async with working(app):
        await stays.result(60)
    assert ran == [stays.id]
    assert real.llen("rq:queue:default") == 0


async def test_a_running_run_shows_cancelling_and_its_token_fires(app, aclient, working, held):
    """[C26]"""
    release = asyncio.Event()

    @app.runner("slow")
    async def slow(step):
        reason = await step.cancel.wait()
        held.started.set()
        await release.wait()
        return Succeed(reason)

    async with working(app):
        run = await aclient.submit("slow")
        await until(lambda: in_state(run, "running"))
        assert await run.cancel("enough")
        await held.started.wait()
        assert (await run.status()).state == "cancelling"
        release.set()
        status = await run.wait(60)
    assert (status.state, status.reason) == ("cancelled", "enough")


async def test_a_thread_sees_the_token_too(app, aclient, working):
    """[C26]"""
    started, seen = threading.Event(), []

    @app.runner("plain")
    def plain(step):
        assert not step.cancel.is_set
        started.set()
        seen.append(step.cancel.wait_blocking(10))
        seen.append(step.cancel.is_set)
        step.cancel.raise_if_set()

    async with working(app):
        run = await aclient.submit("plain")
        await until(started.is_set)
        await run.cancel()
        assert (await run.wait(60)).state == "cancelled"
    assert seen == [True, True]


@pytest.mark.parametrize(
    "what", ["succeed", "continue", "fail", "raise", "permanent", "raise_if_set", "odd"]
)
async def test_a_cancel_from_outside_beats_every_outcome_but_the_runners_own_cancel(
    aclient, working, app, held, what
):
    """[C27] [C26] And no further attempt or step runs."""
    async with working(app):
        run = await aclient.submit("held", what)
        await held.started.wait()
        assert await run.cancel("outside")
        status = await run.wait(60)
    assert (status.state, status.reason, status.result, status.error) == (
        "cancelled",
        "outside",
        None,
        None,
    )
    assert held.attempts == [(0, 1)]


async def test_the_runners_own_cancel_keeps_its_reason(aclient, working, app, held):
    """[C27]"""
    async with working(app):
        run = await aclient.submit("held", "cancel")
        await held.started.wait()
        await run.cancel("outside")
        with pytest.raises(RunCancelled, match="my own reason"):
            await run.result(60)


async def test_a_runner_may_cancel_its_run_itself(app, aclient, working):
    """[C19]"""

    @app.runner("quits")
    async def quits(step):
        return Cancel("nothing to do")

    async with working(app):
        status = await (await aclient.submit("quits")).wait(60)
    assert (status.state, status.reason) == ("cancelled", "nothing to do")


async def test_a_cancel_between_two_kept_steps_is_seen_by_the_next_commit(app, aclient, working):
    """[C26] The chain never leaves its worker, and still stops."""
    steps = []

    @app.runner("endless")
    async def endless(step):
        steps.append(step.number)
        await asyncio.sleep(0)
        return Continue()

    async with working(app):
        run = await aclient.submit("endless")
        await until(lambda: len(steps) > 5)
        assert await run.cancel()
        assert (await run.wait(60)).state == "cancelled"
        count = len(steps)
        await asyncio.sleep(0.05)
        assert len(steps) == count


async def test_a_step_deaf_to_its_token_is_cancelled_after_its_grace(app, aclient, working):
    """[C26]"""
    ended = []

    @app.runner("deaf")
    async def deaf(step):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(step.attempt)

    async with working(app):
        run = await aclient.submit("deaf")
        await until(lambda: in_state(run, "running"))
        await run.cancel("now")
        status = await run.wait(60)
    assert (status.state, status.reason, ended) == ("cancelled", "now", [1])


async def test_a_deaf_function_ends_as_cancelled_too_and_its_thread_is_left_behind(
    app, aclient, working
):
    """[C26] [C23]"""
    started, release = threading.Event(), threading.Event()

    @app.runner("deaf")
    def deaf(step):
        started.set()
        release.wait(60)
        return Succeed()

    async with working(app) as worker:
        run = await aclient.submit("deaf")
        await until(started.is_set)
        await run.cancel("now")
        assert (await run.wait(60)).state == "cancelled"
        release.set()
        await until(lambda: worker.worker_state.slots.used == 0)


async def test_cancel_says_false_for_an_unknown_and_for_a_finished_run(app, aclient, working):
    """[C28]"""

    @app.runner("fine")
    async def fine(step):
        return Succeed()

    assert await aclient.cancel("nobody") is False
    async with working(app):
        run = await aclient.submit("fine")
        await run.wait(60)
    assert await run.cancel() is False
    assert (await run.status()).state == "succeeded"


async def test_a_second_cancel_says_whether_the_run_will_end_and_the_first_reason_stays(
    aclient, working, app, ghost
):
    """[C28] [B30] False only for what is unknown or has ended."""

    @app.runner("x")
    async def x(step):
        return Succeed()

    waiting = await aclient.submit("x", delay=100)
    assert [await waiting.cancel("one"), await waiting.cancel("two")] == [True, False]
    assert (await waiting.status()).reason == "one"
    running = await aclient.submit("x")
    ghost.claim("x")
    assert [await running.cancel("one"), await running.cancel("two")] == [True, True]
    ghost.die()
    async with working(app):
        assert (await running.wait(60)).reason == "one"
    assert await running.cancel("three") is False


@pytest.mark.parametrize("first", ["fail", "deadline"])
async def test_a_cancel_of_a_run_that_others_have_asked_to_stop_says_that_it_will_end(
    aclient, keys, ghost, first
):
    """[B30] Whoever set the end in motion."""
    run = await aclient.submit("x", timeout=100)
    ghost.claim("x")
    stop = StopRequest(StopKind.FAIL if first == "fail" else StopKind.DEADLINE, first, 1.0)
    assert await aclient._do(stop_run(run.id, stop, aclient.env))
    assert await run.cancel("me too") is True
    assert (await run.status()).reason == first
    assert await aclient.fail(run.id, "at last") is True
    assert [await aclient.fail(run.id), await run.cancel()] == [False, False]


async def test_of_many_concurrent_cancels_one_ends_the_run_and_one_hook_is_written(
    app, aclient, working
):
    """[C28] Twice: one terminal hook."""
    seen = []

    @app.on_terminal
    def note(outcome):
        seen.append(outcome.reason)

    @app.runner("x")
    async def x(step):
        return Succeed()

    async with working(app, queues=["other"]):
        run = await aclient.submit("x")
        said = await asyncio.gather(*[run.cancel(f"c{number}") for number in range(20)])
        assert said.count(True) == 1
        await until(lambda: seen)
        assert len(await aclient.hooks(run.id)) == 1


async def test_a_cancelled_run_whose_worker_dies_does_not_come_back(
    app, aclient, working, real, ghost
):
    """[C28]"""
    ran = []

    @app.runner("x")
    async def x(step):
        ran.append(step.run_id)
        return Succeed()

    run = await aclient.submit("x", run_id="x1")
    ghost.claim("x")
    assert await run.cancel("enough")
    assert (await run.status()).state == "cancelling"
    ghost.die()
    async with working(app):
        status = await run.wait(60)
    assert (status.state, status.reason, ran) == ("cancelled", "enough", [])


async def test_the_reason_may_hold_any_text(aclient):
    """[C25]"""
    run = await aclient.submit("x")
    await run.cancel("a|b\n\ud800")
    assert (await run.status()).reason == "a|b\n\\ud800"


async def test_cancel_requested_is_an_ordinary_error(app, aclient, working):
    assert issubclass(CancelRequested, Exception)
