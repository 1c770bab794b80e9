"""Runners and jobs say how much of a rate they have really used: `limit.settle(units)`."""

import asyncio

import pytest

from stepflow import (
    Continue,
    InvalidOption,
    Limit,
    RateLimited,
    RetryPolicy,
    Stepflow,
    Succeed,
)
from stepflow.testing import Harness

#: one unit every ten seconds, ten at once after a quiet time
SLOW = Limit("slow", rate="1/10s", burst=10)
ONCE = RetryPolicy(max_attempts=1)


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app):
    async with Harness(app) as harness:  # the code says so when a worker starts
        await harness.client.limits.set("slow", rate="1/10s", burst=10)
        yield harness


def counted(h):
    """How many units count against the rate now."""
    tat = h.server.client.get("stepflow:tat:slow:")
    return round((float(tat) - h.clock.now()) / 10, 1) if tat else 0


async def test_a_job_settles_what_it_was_submitted_for(app, h):
    """[L11] Less gives back, more takes more; what is said last counts."""

    @app.job(name="ask", limits=[SLOW])
    async def ask(used: int) -> None:
        SLOW.settle(99)
        SLOW.settle(used)

    await h.submit("ask", {"used": 2}, units={"slow": 5})
    assert counted(h) == 2
    await h.submit("ask", {"used": 7}, units={"slow": 5})
    assert counted(h) == 9
    await h.submit("ask", {"used": 0})
    assert counted(h) == 9


async def test_a_plain_function_settles_as_well(app, h):
    """[L11] It runs in a thread."""

    @app.job(name="ask", limits=[SLOW])
    def ask() -> None:
        SLOW.settle(3)

    await h.result(await h.submit("ask", {}, units={"slow": 5}))
    assert counted(h) == 3


async def test_each_step_of_a_run_settles_what_it_has_used(app, h):
    """[L11] The first was charged the units of the run; those that go on were charged nothing."""
    used = {0: 2, 1: 3, 3: 1}

    @app.runner("chain", limits=[SLOW])
    async def chain(step):
        if step.number in used:
            SLOW.settle(used[step.number])
        return Succeed() if step.number == 3 else Continue(delay=1 if step.number == 1 else 0)

    await h.submit("chain", units={"slow": 5})
    assert counted(h) == 5
    await h.advance(1)
    assert counted(h) == 5.9


async def test_a_repeated_step_is_charged_anew_and_both_settle(app, h):
    """[L11] Also one that failed has used what it says."""

    @app.job(name="ask", limits=[SLOW], retry=RetryPolicy(max_attempts=2, initial=1, jitter=False))
    async def ask() -> None:
        SLOW.settle(2)
        raise ValueError

    await h.submit("ask", {}, units={"slow": 5})
    assert counted(h) == 2
    await h.advance(1)
    assert counted(h) == 3.9


async def test_one_that_says_nothing_counts_as_it_was_submitted(app, h):
    """[L9]"""

    @app.job(name="ask", limits=[SLOW])
    async def ask() -> None: ...

    run = await h.submit("ask", {}, units={"slow": 5})
    assert counted(h) == 5
    assert h.server.client.hget(f"stepflow:run:{run.id}", "settled") is None


async def test_what_is_given_back_is_for_those_in_line_at_once(app, h):
    """[L11] Whoever waits for units that turn out not to be used waits no longer."""
    times = []
    many = Limit("many", rate="10/s", burst=100)

    @app.job(name="ask", limits=[many])
    async def ask() -> None:
        times.append(round(h.clock.now() - start, 1))
        await h.sleep(0.5)
        many.settle(10)

    await h.client.limits.set("many", rate="10/s", burst=100)
    start = h.clock.now()
    for _ in range(3):
        await h.submit("ask", {}, units={"many": 100})
    await h.advance(4)
    assert times == [0, 1, 2]


async def test_one_that_is_refused_by_the_other_side_settles_too(app, h):
    """[L10] [L11] It waits without an attempt, and goes on without being charged again."""
    refused = [True]

    @app.job(name="ask", limits=[SLOW], retry=ONCE)
    async def ask() -> str:
        SLOW.settle(1)
        if refused.pop() if refused else False:
            raise RateLimited("slow", retry_after=5)
        return "ok"

    run = await h.submit("ask", {}, units={"slow": 5})
    assert counted(h) == 1
    await h.advance(5)
    assert await h.result(run) == "ok"
    assert counted(h) == 1.5


async def test_it_is_refused_where_nothing_could_come_of_it(app, h):
    """[L11] In a run that does not have the limit, after the step, and in a workflow."""
    other, late = Limit("other", rate="1/s"), []

    @app.job(name="ask", limits=[SLOW], retry=ONCE)
    async def ask() -> None:
        async def after() -> None:
            await asyncio.sleep(0)
            try:
                SLOW.settle(1)
            except InvalidOption as error:
                late.append(str(error))

        with pytest.raises(InvalidOption, match="outside of a step that has it"):
            other.settle(1)
        with pytest.raises(InvalidOption, match="a whole number >= 0"):
            SLOW.settle(-1)
        late.append(asyncio.ensure_future(after()))

    @app.workflow("flow", limits=[SLOW])
    async def flow(ctx) -> None:
        SLOW.settle(1)

    assert (await h.status(await h.submit("ask", {}))).state == "succeeded"
    await late[0]
    assert "outside of a step" in late[1]
    status = await h.status(await h.submit("flow"))
    assert status.error.type == "InvalidOption"
