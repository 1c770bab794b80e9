"""A run of very many steps has a trace that somebody can read [E17]."""

from __future__ import annotations

import pytest

from stepflow import Continue, RetryPolicy, Stepflow, Succeed
from stepflow.errors import InvalidOption
from stepflow.telemetry import OpenTelemetry
from stepflow.testing import Harness
from tests.telemetry.conftest import roots

LIMIT = "stepflow.span_limit"
QUICK = RetryPolicy(max_attempts=2, initial=1)


@pytest.fixture
def app(spans):
    return Stepflow(telemetry=OpenTelemetry(tracer_provider=spans.provider, most_spans=10))


async def test_past_its_limit_a_chain_has_spans_only_of_what_fails(app, spans):
    """[E17] The last span and the failed ones say that there is a limit."""

    @app.runner("chain", retry=QUICK)
    async def chain(step):
        if step.number == 30 and step.attempt == 1:
            raise ValueError("odd")
        return Succeed() if step.number == 40 else Continue(None)

    async with Harness(app) as h:
        run = await h.submit("chain")
        await h.advance(60)
        await h.result(run)
    made = spans.named("process chain")
    assert [one.attributes["stepflow.step"] for one in made] == [*map(str, range(10)), "30"]
    assert [one.attributes.get(LIMIT) for one in made] == [None] * 9 + [10, 10]
    assert made[-1].attributes["error.type"] == "ValueError"
    assert made[-1].end_time > made[-1].start_time
    assert roots(spans.all()) == ["send default"]


async def test_the_steps_of_a_workflow_count_also_those_before_it_slept(app, spans):
    """[E17] Nothing is kept for the count: the journal has it."""

    def odd(n: int) -> None:
        if n == 21:
            raise ValueError("odd")

    @app.workflow(retry=RetryPolicy(max_attempts=1))
    async def flow(ctx) -> None:
        for n in range(6):
            await ctx.step(odd, n)
        await ctx.sleep(10)
        for n in range(6, 22):
            await ctx.step(odd, n)

    async with Harness(app) as h:
        run = await h.submit("flow")
        await h.advance(20)
        assert (await h.status(run)).state == "failed"
    made = [one for one in spans.all() if one.name != "send default"]
    assert len(made) <= 11
    assert made[-1].name == "step odd"
    assert made[-1].attributes["error.type"] == "ValueError"
    assert roots(spans.all()) == ["send default"]


async def test_attempts_that_failed_count_when_their_step_is_long_done(app, spans):
    """[E17] A chain of which each step is tried twice is at its limit after half the steps."""

    @app.runner("chain", retry=QUICK)
    async def chain(step):
        if step.attempt == 1:
            raise ValueError("once")
        return Succeed() if step.number == 20 else Continue(None)

    async with Harness(app) as h:
        run = await h.submit("chain")
        for _ in range(21):
            await h.advance(2)
        await h.result(run)
    made = spans.named("process chain")
    assert len([one for one in made if "error.type" in one.attributes]) == 21
    assert 3 <= len([one for one in made if "error.type" not in one.attributes]) <= 5


def test_a_limit_of_none_is_refused():
    """[E17]"""
    with pytest.raises(InvalidOption, match="most_spans"):
        OpenTelemetry(most_spans=0)
