"""Runners, jobs and steps that enter a breaker themselves."""

import pytest

from stepflow import Breaker, CircuitOpen, Continue, InvalidOption, RetryPolicy, Step, Succeed
from stepflow.testing import Harness, RecordingObserver

ONCE = RetryPolicy(max_attempts=1)
STRIPE = Breaker("stripe", failures=2, reset=30)


async def open_it(app, h):
    @app.runner("bad", retry=ONCE)
    async def bad(step: Step[object]):
        async with STRIPE:
            raise ConnectionError

    for _ in range(2):
        await h.submit("bad")


async def test_a_runner_waits_without_a_worker_and_begins_its_step_again(app, h):
    """[K8] [K9] No attempt is counted; the step keeps its number and its payload."""
    await open_it(app, h)
    seen = []

    @app.runner("charge")
    async def charge(step: Step[int]):
        seen.append((step.number, step.payload, step.attempt))
        if step.number == 0:
            return Continue(7)
        async with STRIPE:
            return Succeed(step.payload)

    run = await h.submit("charge", 1)
    status = await h.status(run)
    assert (status.state, status.attempt) == ("scheduled", 1)
    assert status.waits_for == "breaker stripe, until 2030-01-01 00:00:30 UTC"
    steps = (await h.client.steps(run.id)).steps
    assert [step.state for step in steps] == ["succeeded", "handed back", "scheduled"]
    await h.advance(30)
    assert await h.result(run) == 7
    assert seen == [(0, 1, 1), (1, 7, 1), (1, 7, 1)]


async def test_a_plain_function_uses_with(app, h):
    """[K8] In its thread."""
    await open_it(app, h)

    @app.job
    def charge(order: int) -> int:
        with STRIPE:
            return order

    run = await charge.submit(3)
    assert (await h.status(run)).state == "scheduled"
    await h.advance(30)
    assert await h.result(run) == 3


async def test_the_function_of_a_ctx_step_may_enter_one(app, h):
    """[K8] [K9]"""
    await open_it(app, h)

    async def call() -> str:
        async with STRIPE:
            return "ok"

    @app.workflow
    async def charge(ctx) -> str:
        return await ctx.step(call)

    run = await h.submit(charge)
    assert (await h.status(run)).state == "waiting"
    await h.advance(30)
    assert await h.result(run) == "ok"


async def test_those_that_waited_are_woken_by_the_trial(app, h):
    """[K9] They come back long before they would look for themselves."""
    await open_it(app, h)

    @app.runner("charge")
    async def charge(step: Step[object]):
        async with STRIPE:
            return Succeed(h.clock.now())

    runs = [await h.submit("charge") for _ in range(10)]
    began = h.clock.now()
    await h.advance(30)
    assert [await h.result(run) - began for run in runs] == [30.0] * 10


async def test_one_that_raises_is_an_error_like_any_other_in_a_runner(app, h):
    """[K9] `when_open="raise"`."""
    await open_it(app, h)
    breaker = Breaker("stripe", failures=2, reset=30, when_open="raise")

    @app.runner("charge", retry=ONCE)
    async def charge(step: Step[object]):
        try:
            async with breaker:
                return Succeed("called")
        except CircuitOpen:
            return Succeed("refused")

    assert await h.result(await h.submit("charge")) == "refused"


async def test_one_that_waits_is_paused_resumed_and_has_its_deadline(app, h):
    """[K9] Like any other run that waits: of a runner and of a workflow."""
    await h.client.breakers.open("stripe", 60)

    @app.runner("charge")
    async def charge(step: Step[object]):
        async with STRIPE:
            return Succeed("charged")

    @app.workflow("flow")
    async def flow(ctx) -> str:
        return await ctx.step("charge", lambda: "charged", breaker=STRIPE)

    for runner in ("charge", "flow"):
        await h.submit(runner, run_id=f"{runner}-late", timeout=20)
        await h.submit(runner, run_id=f"{runner}-paused")
        await h.client.pause(f"{runner}-paused")
    await h.advance(60)
    for runner in ("charge", "flow"):
        assert (await h.status(f"{runner}-late")).reason == "deadline"
        assert (await h.status(f"{runner}-paused")).state == "paused"
        await h.client.resume(f"{runner}-paused")
    await h.advance(40)
    for runner in ("charge", "flow"):
        assert await h.result(f"{runner}-paused") == "charged"


async def test_observers_are_told_that_one_waits_and_of_no_step_that_has_not_begun(app):
    """[K9] [K15]"""
    observer = RecordingObserver()
    app.observe(observer)

    @app.runner("charge")
    async def charge(step: Step[object]):
        async with STRIPE:
            return Succeed()

    @app.workflow("flow")
    async def flow(ctx) -> str:
        return await ctx.step("charge", lambda: "charged", breaker=STRIPE)

    async with Harness(app) as h:
        await open_it(app, h)
        run = await h.submit("charge")
        [waiting] = observer.of("on_waiting")
        assert (waiting.run_id, waiting.waits_for) == (run.id, "breaker stripe")
        assert observer.of("on_step_done") == []
        observer.told.clear()
        await h.submit("flow")
        assert observer.of("on_step_started") == []
        await h.client.breakers.close("stripe")
        await h.settle()
        [begun] = [fact for fact in observer.of("on_step_started") if fact.runner == "flow"]
        assert begun.name == "charge"


async def test_observers_are_told_that_a_breaker_has_opened(app):
    """[K8] [K15]"""
    observer = RecordingObserver()
    app.observe(observer)
    async with Harness(app) as h:
        await open_it(app, h)
        [opened] = observer.of("on_circuit_open")
        assert (opened.name, opened.details["reset_s"]) == ("stripe", 30)


async def test_a_breaker_is_entered_in_a_step_only(app, h):
    """[K8] Not in a workflow's own code, which is replayed."""

    @app.workflow
    async def charge(ctx) -> str:
        async with STRIPE:
            return "?"

    run = await h.submit(charge)
    assert "pass it on: ctx.step(..., breaker=...)" in (await h.status(run)).reason
    with pytest.raises(InvalidOption, match="outside of a step"):
        STRIPE.__enter__()


async def test_a_step_built_by_hand_has_permits():
    """[K8] In a unit test of a runner."""
    from stepflow.logs import code

    code.set(Step("r", 0, None))
    async with STRIPE:
        pass
    with STRIPE:
        pass
    code.set(None)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "a b"}, "cannot name a breaker"),
        ({"failures": 0}, "whole number from 1 to 1,000"),
        ({"trials": True}, "whole number from 1 to 1,000"),
        ({"reset": 0}, "above 0 seconds"),
        ({"reset": "1"}, "reset of breaker 'b'"),
        ({"when_open": "die"}, "'wait' or 'raise'"),
        ({"counts": [ValueError]}, "an exception type, a tuple of them, or a function"),
        ({"counts": int}, "an exception type, a tuple of them, or a function"),
    ],
)
def test_what_no_breaker_can_be_is_refused(given, words):
    """[K8]"""
    with pytest.raises(InvalidOption, match=words):
        Breaker(**{"name": "b", **given})


async def test_what_is_no_breaker_is_refused(app, h):
    """[K8] At the call, before anything is written."""

    async def call() -> str:
        return "ok"

    @app.workflow
    async def charge(ctx) -> str:
        return await ctx.step(call, breaker="stripe")

    run = await h.submit(charge)
    assert "write breaker=Breaker('name')" in (await h.status(run)).reason
    with pytest.raises(InvalidOption, match="breaker of @app"):
        app.step(breaker="stripe")(call)
