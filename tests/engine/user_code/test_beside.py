"""[B2] [B7] What may leave the user code that stands beside the functions of steps."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from stepflow import Breaker, RunState, Stepflow, Succeed
from stepflow.core.outcomes import readable
from stepflow.worker.events.listeners import MOST_ERRORS
from tests.engine.user_code.test_calls import LEAVES, TWICE, BrokenError, ends_of, leave_by
from tests.support import until

FAILED = dict.fromkeys(LEAVES, RunState.FAILED)
SUCCEEDED = dict.fromkeys(LEAVES, RunState.SUCCEEDED)


@pytest.fixture
def fine(app: Stepflow) -> Stepflow:
    @app.runner("fine")
    async def fine(step: Any) -> Any:
        return Succeed("alive")

    return app


def states_of(ends: dict[str, Any]) -> dict[str, Any]:
    return {name: end.state for name, end in ends.items()}


async def test_whatever_leaves_the_wait_of_a_poll_fails_its_run(fine, aclient, working):
    @fine.workflow("nothing")
    async def nothing(ctx, name):
        return await ctx.poll(lambda: None, every=lambda number: leave_by(name))

    @fine.workflow("failing")
    async def failing(ctx, name):
        return await ctx.poll(lambda: 1 / 0, every=lambda number: leave_by(name), max_errors=2)

    async with working(fine):
        for runner in ("nothing", "failing"):
            assert states_of(await ends_of(aclient, runner)) == FAILED


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
async def test_whatever_leaves_middleware_is_an_error_of_that_attempt(
    fine, aclient, working, is_before
):
    calls: list[str] = []

    @fine.middleware
    async def leaves(call, call_next):
        if call.kind == "step" and is_before:
            leave_by(call.args[0])
        value = await call_next()
        if call.kind == "step":
            leave_by(call.args[0])
        return value

    async def named(name):
        calls.append(name)
        return name

    @fine.workflow("flow")
    async def flow(ctx, name):
        return await ctx.step(named, name, retry=TWICE)

    async with working(fine):
        assert states_of(await ends_of(aclient, "flow")) == FAILED
    assert sorted(calls) == ([] if is_before else sorted([*LEAVES, *LEAVES]))


async def test_whatever_leaves_a_listener_or_an_observer_hurts_no_run_and_ends_it(
    fine, aclient, working
):
    heard: list[str] = []

    @fine.on("step.done")
    def plain(event):
        heard.append("plain")
        leave_by(LEAVES[heard.count("plain") % len(LEAVES)])

    @fine.on("step.done")
    async def coroutine(event):
        heard.append("coroutine")
        leave_by(LEAVES[heard.count("coroutine") % len(LEAVES)])

    class Odd:
        def on_step_done(self, step):
            heard.append("observer")
            leave_by(LEAVES[heard.count("observer") % len(LEAVES)])

    fine.observe(Odd())

    async def named(name):
        return name

    @fine.workflow("flow")
    async def flow(ctx, name):
        return [await ctx.step(named, name) for _ in range(3)]

    async with working(fine):
        assert states_of(await ends_of(aclient, "flow")) == SUCCEEDED
        await until(lambda: heard.count("observer") == MOST_ERRORS)
    assert heard.count("plain") == heard.count("observer") == MOST_ERRORS
    # tasks that had begun before the last error go on
    assert MOST_ERRORS <= heard.count("coroutine") < 3 * len(LEAVES)


async def test_whatever_leaves_what_judges_or_prices_a_step_leaves_the_steps_own_end(
    fine, aclient, working
):
    """A breaker's `counts=`, a budget's `used=`."""

    async def fails(name):
        raise LookupError(name)

    async def named(name):
        return name

    @fine.workflow("judged")
    async def judged(ctx, name):
        breaker = Breaker(f"b-{name}", failures=100, counts=lambda error: leave_by(name))
        await ctx.step(fails, name, breaker=breaker, retry=TWICE)

    @fine.workflow("priced")
    async def priced(ctx, name):
        spends = ctx.budget("b", usd=Decimal(1)).spend(usd="0.01", used=lambda _: leave_by(name))
        return await ctx.step(named, name, spends=spends)

    async with working(fine):
        judged_ends = await ends_of(aclient, "judged")
        assert states_of(judged_ends) == FAILED
        assert {"LookupError" in end.error.message for end in judged_ends.values()} == {True}
        assert states_of(await ends_of(aclient, "priced")) == SUCCEEDED


def test_a_text_is_readable_whatever_its_str_raises():
    assert readable(BrokenError()) == "BrokenError()"
