"""What becomes of steps for which a budget has no room."""

import stepflow
from stepflow import BudgetExceeded
from tests.budgets.conftest import used


def spending(app, provider, budget, most=100):
    @app.workflow
    async def ask(ctx, number: int) -> str:
        try:
            spends = budget.spend(tokens=most, used=used)
            await ctx.step("ask", provider.call, number, spends=spends)
        except BudgetExceeded:
            return "exceeded"
        return "ok"

    return ask


async def test_a_day_that_is_spent_is_over_at_midnight(app, h, provider):
    """[A12] `on_exceeded="wait"`: the run is parked until there is more."""
    budget = stepflow.budget("b", tokens=100, per="day", on_exceeded="wait")
    ask = spending(app, provider, budget)
    first, second = [await h.submit(ask, number) for number in range(2)]
    assert await h.result(first) == "ok"
    status = await h.status(second)
    assert (status.state, status.waits_for) == (
        "waiting",
        "budget b, until 2030-01-02 00:00:00 UTC",
    )
    await h.advance(86_400)
    assert await h.result(second) == "ok"
    assert (await h.client.budgets.get("b")).spent.settled_tokens == 100


async def test_people_are_asked_and_a_yes_gives_it_once_more(app, h, provider):
    """[A12] To all who have asked: the other questions are taken back."""
    budget = stepflow.budget("b", tokens=200, on_exceeded="ask")
    ask = spending(app, provider, budget)
    runs = [await h.submit(ask, number) for number in range(4)]
    assert [(await h.status(run)).state for run in runs[2:]] == ["waiting"] * 2
    first, _ = await h.client.questions()
    assert first.prompt.startswith(
        "Budget 'b' has spent 200 of 200 tokens, too much for step 'ask'"
    )
    await h.client.answer(first.token, True)
    assert [await h.result(run) for run in runs] == ["ok"] * 4
    assert not await h.client.questions()
    seen = await h.client.budgets.get("b")
    assert (seen.tokens, seen.granted, seen.spent.settled_tokens) == (400, 1, 400)


async def test_a_no_is_an_error_for_the_run_that_asked(app, h, provider):
    """[A12] The same on replay, also after a crash between the answer and the entry."""
    budget = stepflow.budget("b", tokens=100, on_exceeded="ask")
    ask = spending(app, provider, budget)
    _, run = [await h.submit(ask, number) for number in range(2)]
    [question] = await h.client.questions()
    h.crash_after("ask", written=False)
    await h.client.answer(question.token, False)
    assert await h.result(run) == "exceeded"
    assert len(provider.calls) == 1


async def test_an_operator_who_raises_it_answers_for_people(app, h, provider):
    """[A12] The run goes on, and its question is taken back."""
    budget = stepflow.budget("b", tokens=100, on_exceeded="ask")
    ask = spending(app, provider, budget)
    _, run = [await h.submit(ask, number) for number in range(2)]
    await h.client.budgets.set("b", tokens=500, by="ada", note="launch")
    assert await h.result(run) == "ok"
    assert not await h.client.questions()
    seen = await h.client.budgets.get("b")
    assert (seen.tokens, seen.by, seen.note, seen.is_set) == (500, "ada", "launch", True)
    await h.client.budgets.set("b", tokens="code")
    assert (await h.client.budgets.get("b")).tokens == 100


async def test_a_reset_sets_what_was_spent_to_0(app, h, provider):
    """[A12]"""
    ask = spending(app, provider, stepflow.budget("b", tokens=100))
    await h.submit(ask, 0)
    await h.client.budgets.reset("b")
    run = await h.submit(ask, 1)
    assert await h.result(run) == "ok"
    [seen] = await h.client.budgets.list()
    assert (seen.name, seen.spent.settled_tokens, seen.spent.calls) == ("b", 100, 1)
