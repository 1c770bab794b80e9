"""Steps of workflows that spend of a budget."""

from decimal import Decimal

import pytest

import stepflow
from stepflow import BudgetExceeded, Cost, InvalidOption, RetryPolicy, UnknownPrice
from tests.budgets.conftest import used

ONCE = RetryPolicy(max_attempts=1)
ACME = stepflow.budget("tenant:acme", tokens=1000)


def asking(app, provider, budget=ACME, *, most=150, retry=ONCE):
    @app.workflow
    async def ask(ctx, times: int) -> int:
        for number in range(times):
            spends = budget.spend(usd="0.02", tokens=most, used=used)
            await ctx.step("ask", provider.call, number, spends=spends, retry=retry)
        return times

    return ask


async def spent(h, name="tenant:acme"):
    return (await h.client.budgets.get(name)).spent


async def test_what_calls_cost_is_settled_to_the_token(app, h, provider):
    """[A12]"""
    budget = stepflow.budget("tenant:acme", usd=1, tokens=1000)
    run = await h.submit(asking(app, provider, budget), 3)
    assert await h.result(run) == 3
    seen = await spent(h)
    assert (seen.settled_tokens, seen.settled_usd) == (provider.bill, Decimal("0.03"))
    assert (seen.calls, seen.lost, seen.reserved_tokens, seen.lost_tokens) == (3, 0, 0, 0)


async def test_a_step_for_which_there_is_no_room_is_not_called(app, h, provider):
    """[A12] The workflow is told, the same live and on replay."""
    seen = []

    @app.workflow
    async def ask(ctx) -> str:
        spends = ACME.spend(tokens=600, used=used)
        try:
            for _ in range(20):
                await ctx.step("ask", provider.call, spends=spends)
        except BudgetExceeded as error:
            seen.append(
                (error.budget, error.unit, error.spent, error.limit, error.most, str(error))
            )
        await ctx.sleep(5)
        return "enough"

    run = await h.submit(ask)
    await h.advance(5)
    assert await h.result(run) == "enough"
    assert len(provider.calls) == 5
    assert seen[0] == seen[1]
    assert seen[0][:5] == ("tenant:acme", "tokens", 500, 1000, 600)
    assert "500 of 1,000 tokens are spent, and this step may cost 600" in seen[0][5]


@pytest.mark.parametrize("written", [True, False])
async def test_a_call_that_is_lost_with_its_worker_stays_reserved(app, h, provider, written):
    """[A12] It was billed, and nobody knows how much: between nothing and what was reserved."""
    run = await h.submit(asking(app, provider), 0)
    h.crash_after("ask", written=written)
    run = await h.submit("ask", 3)
    assert await h.result(run) == 3
    seen = await spent(h)
    lost = 0 if written else 150
    assert (seen.settled_tokens, seen.lost_tokens, seen.least_tokens) == (300, lost, 0)
    assert seen.settled_tokens + seen.least_tokens <= provider.bill
    assert provider.bill <= seen.settled_tokens + seen.lost_tokens


async def test_a_failed_attempt_counts_as_what_its_error_says(app, h, provider):
    """[A12] Without a word of it the attempt is lost; a cut-off answer has cost that at least."""
    refused, cut, silent = ConnectionError("429"), ConnectionError("cut off"), ConnectionError()
    refused.stepflow_cost = Cost(0, 0)
    cut.stepflow_cost = Cost(None, 40, is_least=True)
    provider.errors = [refused, cut, silent]
    retry = RetryPolicy(max_attempts=4, initial=1, jitter=False)
    run = await h.submit(asking(app, provider, retry=retry), 1)
    await h.advance(60)
    assert await h.result(run) == 1
    seen = await spent(h)
    assert (seen.settled_tokens, seen.lost_tokens, seen.least_tokens) == (100, 300, 40)
    assert (seen.calls, seen.lost) == (4, 2)


async def test_a_replay_counts_nothing_and_a_fork_anew(app, h, provider):
    """[A12] The fork pays for what it does itself, not for what it remembers."""

    @app.workflow
    async def ask(ctx) -> None:
        budget = ctx.budget("order", tokens=1000)
        for name in ("a", "b", "c"):
            await ctx.step(name, provider.call, spends=budget.spend(tokens=200, used=used))
            await ctx.sleep(1)

    run = await h.submit(ask)
    for _ in range(3):
        await h.advance(1)
    assert (await spent(h, f"order@{run.id}.0")).settled_tokens == 300
    fork = await h.client.fork(run.id, "b")
    for _ in range(3):
        await h.advance(1)
    assert (await h.status(fork)).state == "succeeded"
    assert (await spent(h, f"order@{fork.id}.0")).settled_tokens == 200
    assert provider.bill == 500


async def test_children_share_the_budget_of_their_family(app, h, provider):
    """[A12] And their children; each run that is no child has its own."""

    @app.workflow
    async def leaf(ctx) -> None:
        budget = ctx.budget("order", tokens=1000)
        await ctx.step(provider.call, spends=budget.spend(tokens=200, used=used))

    @app.workflow
    async def branch(ctx) -> None:
        await (await ctx.spawn(leaf)).result()

    @app.workflow
    async def root(ctx) -> None:
        await ctx.map(branch, [])
        for _ in range(2):
            await (await ctx.spawn(branch)).result()
        await (await ctx.spawn(leaf)).result()

    runs = [await h.submit(root) for _ in range(2)]
    for run in runs:
        assert (await spent(h, f"order@{run.id}.0")).settled_tokens == 300


async def test_a_call_without_a_price_is_refused_unless_allowed(app, h, provider):
    """[A12]"""
    budget = stepflow.budget("tenant:acme", usd=1)
    with pytest.raises(UnknownPrice, match="unknown_price='allow'"):
        budget.spend(tokens=5)
    lenient = stepflow.budget("tenant:acme", usd=1, unknown_price="allow")

    @app.workflow
    async def ask(ctx) -> None:
        await ctx.step(
            provider.call, spends=lenient.spend(tokens=200, used=lambda _: Cost(None, 7))
        )

    await h.submit(ask)
    assert (await spent(h)).settled_tokens == 7


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"usd": 0.5}, "write usd='0.5': a float is no exact amount"),
        ({"usd": "much"}, "such as '0.50'"),
        ({"usd": -1}, "from 0"),
        ({"tokens": 1.5}, "whole number"),
        ({}, "has no limit"),
        ({"tokens": 1, "per": "year"}, "per of budget 'b' is 'year'"),
        ({"tokens": 1, "on_exceeded": "cry"}, "on_exceeded"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(given, words):
    """[A12] Money is never a float."""
    with pytest.raises(InvalidOption, match=words):
        stepflow.budget("b", **given)


async def test_all_budgets_of_a_call_have_room_or_none_is_charged(app, h, provider):
    """[A12]"""
    small = stepflow.budget("small", tokens=150)

    @app.workflow
    async def ask(ctx) -> tuple[int, str]:
        spends = stepflow.Spending([ACME, small], most=Cost(tokens=100), used=used)
        for number in range(5):
            try:
                await ctx.step(provider.call, spends=spends)
            except BudgetExceeded as error:
                return number, error.budget
        return 5, ""

    run = await h.submit(ask)
    assert tuple(await h.result(run)) == (1, "small")
    assert ((await spent(h)).settled_tokens, (await spent(h, "small")).settled_tokens) == (100, 100)
    assert (await spent(h)).reserved_tokens == 0


async def test_a_value_over_the_limit_is_paid_for_all_the_same(app, h, provider):
    """[A12] [F16] It cannot be recorded, and the error says of which step; its cost is settled."""

    async def call() -> dict[str, object]:
        return {**await provider.call(), "text": "x" * 2_000_000}

    @app.workflow
    async def ask(ctx) -> str:
        try:
            await ctx.step("ask", call, spends=ACME.spend(tokens=200, used=used), retry=ONCE)
        except stepflow.StepFailed as failed:
            return str(failed)
        return "ok"

    run = await h.submit(ask)
    assert "the value of step 'ask'" in await h.result(run)
    seen = await spent(h)
    assert (seen.settled_tokens, seen.lost_tokens) == (100, 0)
