"""A run's timeout: it counts from submit, wherever the run then stands."""

import asyncio
import threading

import pytest

from stepflow import Continue, RetryPolicy, RunFailed, Succeed
from tests.support import until


@pytest.mark.parametrize("delay", [None, 1000])
async def test_a_run_in_a_queue_or_asleep_ends_while_any_worker_lives(
    app, aclient, working, real, delay
):
    """[C23] Its worker may be one of another queue that knows no runner of it."""
    async with working(app, queues=["elsewhere"]):
        run = await aclient.submit("x", run_id="d", timeout=0.01, delay=delay)
        with pytest.raises(RunFailed, match=r"run 'd' failed \(DeadlineExceeded\): deadline"):
            await run.result(60)
    status = await run.status()
    assert (status.state, status.reason) == ("failed", "deadline")
    assert not list(real.scan_iter("rq:job:*"))


async def test_a_run_that_backs_off_ends_at_its_deadline(app, aclient, working):
    """[C23]"""
    attempts = []

    @app.runner("broken", retry=RetryPolicy(initial=1000))
    async def broken(step):
        attempts.append(step.attempt)
        raise ValueError

    async with working(app):
        status = await (await aclient.submit("broken", timeout=0.3)).wait(60)
    assert (status.state, status.error.type, attempts) == ("failed", "DeadlineExceeded", [1])


async def test_a_running_step_gets_its_token_and_the_run_ends_as_failed(app, aclient, working):
    """[C23]"""
    reasons = []

    @app.runner("slow")
    async def slow(step):
        reasons.append(await step.cancel.wait())
        return Succeed("in the end")

    async with working(app):
        status = await (await aclient.submit("slow", timeout=0.1)).wait(60)
    assert (status.state, status.error.type, status.result) == ("failed", "DeadlineExceeded", None)
    assert reasons == ["deadline"]


async def test_a_thread_gets_the_token_of_the_deadline_too(app, aclient, working):
    """[C23]"""

    @app.runner("slow")
    def slow(step):
        step.cancel.wait_blocking(10)
        return Succeed()

    async with working(app):
        assert (await (await aclient.submit("slow", timeout=0.1)).wait(60)).reason == "deadline"


async def test_a_step_deaf_to_its_token_does_not_keep_the_run_past_the_grace(app, aclient, working):
    """[C23]"""
    release = threading.Event()

    @app.runner("deaf")
    def deaf(step):
        release.wait(60)
        return Succeed()

    async with working(app) as worker:
        assert (
            await (await aclient.submit("deaf", timeout=0.1)).wait(60)
        ).error.type == "DeadlineExceeded"
        release.set()
        await until(lambda: worker.worker_state.slots.used == 0)


async def test_a_marked_run_whose_worker_says_nothing_ends_without_it(app, aclient, working, ghost):
    """[C23] After the grace the run ends without the step."""
    run = await aclient.submit("x", timeout=0.05)
    ghost.claim("x")
    async with working(app, queues=["elsewhere"]):
        status = await run.wait(60)
    assert (status.state, status.error.type) == ("failed", "DeadlineExceeded")


async def test_a_chain_stops_at_the_deadline(app, aclient, working):
    """[C23]"""

    @app.runner("endless")
    async def endless(step):
        await asyncio.sleep(0)
        return Continue()

    async with working(app):
        assert (
            await (await aclient.submit("endless", timeout=0.1)).wait(60)
        ).error.type == "DeadlineExceeded"


async def test_a_cancel_and_then_the_deadline_is_a_cancel(app, aclient, working, ghost):
    """[C27] The first stop stays."""
    run = await aclient.submit("x", timeout=0.3)
    ghost.claim("x")
    await run.cancel("first")
    async with working(app, queues=["elsewhere"]):
        status = await run.wait(60)
    assert (status.state, status.reason) == ("cancelled", "first")


async def test_a_run_that_ends_in_time_is_left_alone(app, aclient, working, real, keys):
    """[C23] Negative control: its entry in the deadline index goes with its end."""

    @app.runner("fine")
    async def fine(step):
        return Succeed()

    async with working(app):
        run = await aclient.submit("fine", timeout=60)
        assert real.zscore(keys.deadlines, run.id)
        assert (await run.wait(60)).state == "succeeded"
        assert real.zscore(keys.deadlines, run.id) is None
