"""[A10] Limits that calls of models have: so many, and so many tokens, per time, for all runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain, repeat

import pytest

from stepflow import Context, Limit, RetryPolicy, RunFailed, Stepflow
from stepflow.agents.providers import Completion, CompletionRequest, ProviderFailed, Usage
from stepflow.settings import Settings
from stepflow.testing import Harness

TWICE = RetryPolicy(max_attempts=2, initial=0.1)
REQUESTS = Limit("requests", concurrency=1)
TOKENS = Limit("tokens", rate="10/s", burst=100)


class Model:
    """Says what it was told to, the last for ever, and notes when it was asked."""

    name = "model"

    def __init__(self, h: Harness, *replies: float) -> None:
        self._h, self._start = h, h.clock.now()
        self._replies = chain(replies, repeat(replies[-1]))
        self.asked: list[int] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Use as many tokens as the reply says; one below 0 asks for so many seconds of quiet."""
        del request
        self.asked.append(round(self._h.clock.now() - self._start))
        reply = int(next(self._replies))
        if reply < 0:
            raise ProviderFailed(self.name, "too many", retry_after=-reply)
        return Completion("done", usage=Usage(reply - 1, 1, 0, 1))


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as harness:
        yield harness


def ask(h: Harness, model: Model, limit: object) -> object:
    @h.app.workflow("ask")
    async def ask(ctx: Context) -> str:
        done = await ctx.tool_loop(model, [], "go", retry=TWICE, limit=limit)
        return done.text

    return ask


async def test_requests_wait_for_the_tokens_that_others_have_used(h: Harness) -> None:
    """Each asks for forty; the first has used a hundred and ten, the second only ten."""
    model = Model(h, 110, 10, 40)
    flow = ask(h, model, [REQUESTS, TOKENS.of(units=40)])
    runs = [await h.submit(flow) for _ in range(3)]
    await h.advance(7)
    assert model.asked == [0, 5, 6]
    assert [await h.result(run) for run in runs] == ["done"] * 3


async def test_when_a_provider_asks_for_quiet_nobody_asks_it_meanwhile(h: Harness) -> None:
    """A crash in between changes nothing: the refused goes first. No tokens were used."""
    model = Model(h, -3, 40, 40, 40)
    flow = ask(h, model, [REQUESTS, TOKENS.of(units=40)])
    first = await h.submit(flow)
    others = [await h.submit(flow) for _ in range(2)]
    await h.advance(2.9)
    assert model.asked == [0]
    await h.advance(3.1)
    assert model.asked == [0, 3, 3, 5]
    assert [await h.result(run) for run in (first, *others)] == ["done"] * 3


async def test_a_provider_that_always_asks_for_quiet_is_asked_as_often_as_the_policy_says(
    h: Harness,
) -> None:
    """[A3] Twice for each run; the last refusal of one, too, has the other wait."""
    model = Model(h, -3)
    flow = ask(h, model, REQUESTS)
    runs = [await h.submit(flow) for _ in range(2)]
    await h.advance(60)
    for run in runs:
        with pytest.raises(RunFailed, match="too many"):
            await h.result(run)
    assert model.asked == [0, 3, 6, 9]


async def test_a_request_that_waits_longer_than_it_may_fails(h: Harness) -> None:
    """So that somebody else can be asked while a provider wants quiet."""
    model = Model(h, -6, 40)
    flow = ask(h, model, replace(REQUESTS, max_wait=2))
    first, second = await h.submit(flow), await h.submit(flow)
    await h.advance(7)
    with pytest.raises(RunFailed, match="LimitTimeout"):
        await h.result(second)
    assert model.asked == [0, 6]
    assert await h.result(first) == "done"


async def test_a_route_has_limits_and_budgets_as_well(h: Harness) -> None:
    model = Model(h, 60, 60)
    spent = []

    @h.app.workflow
    async def flow(ctx: Context) -> None:
        budget = ctx.budget("order", tokens=10_000)
        for text in ("one", "two"):
            await ctx.route(
                model, text, {"one": "1", "two": "2"}, limit=TOKENS.of(units=100), budget=budget,
                max_tokens=100,
            )  # fmt: skip
        spent.append(ctx.run_id)

    await h.submit(flow)
    await h.advance(7)
    assert model.asked == [0, 6]
    [info] = await h.client.budgets.list()
    assert info.spent.settled_tokens == 120


async def test_what_is_no_limit_is_refused(h: Harness) -> None:
    run = await h.submit(ask(h, Model(h, 1), "requests"))
    with pytest.raises(RunFailed, match=r"write limit=Limit\(...\)"):
        await h.result(run)
