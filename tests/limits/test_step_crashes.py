"""Steps with a limit whose worker is lost at each of their writes, also with a budget beside it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import stepflow
from stepflow import Cost, Limit, RateLimited, RetryPolicy, Stepflow
from stepflow.store.calls import Call
from stepflow.store.scripts import TAKE_SLOTS
from stepflow.testing import Harness
from stepflow.testing.crashes import Crash

ONE = Limit("one", concurrency=1)
TOKENS = Limit("tokens", rate="100/s", burst=100)
ONCE = RetryPolicy(max_attempts=1)
BILLS = Cost("0.01", 100)


def cost_of(came_to: object) -> Cost:
    return BILLS if came_to == "ok" else Cost(0, 0)


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app):
    async with Harness(app) as harness:
        yield harness


async def nothing_is_left(h):
    info = await h.client.limits.get("one[]")
    return (info.slots, info.waiting) == (0, 0)


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("lost", ["a", "b", "c"])
async def test_a_worker_is_lost_at_each_write_of_a_limited_step(app, h, lost, written):
    """[L11] One slot, its holder lost before or after its value is written: it is free again."""
    calls: list[tuple[str, int]] = []

    @app.workflow
    async def three(ctx, run: int) -> list[int]:
        async def call(name: str) -> int:
            calls.append((name, run))
            return run

        return [await ctx.step(name, call, name, limit=ONE) for name in "abc"]

    h.crash_after(lost, written=written)
    runs = [await h.submit(three, number, run_id=f"r{number}") for number in range(2)]
    await h.advance(60)
    assert [await h.result(run) for run in runs] == [[0] * 3, [1] * 3]
    assert len(calls) == 6 + (not written)
    assert await nothing_is_left(h)


class AtAsk(Crash):
    """A crash where a step asks for its slots."""

    def matches(self, call: Call[Any]) -> bool:
        return self.left > 0 and call.script is TAKE_SLOTS


@pytest.mark.parametrize("written", [True, False])
async def test_a_worker_is_lost_where_its_step_asks_for_slots(app, h, written):
    """[L11] Whether it got them or not: no step is called with them, and others get them."""
    calls: list[str] = []

    @app.workflow
    async def three(ctx) -> list[str]:
        async def call(name: str) -> str:
            calls.append(name)
            return name

        return [await ctx.step(name, call, name, limit=ONE) for name in "abc"]

    h._crashes += [AtAsk("", written, 1)]
    runs = [await h.submit(three, run_id=f"r{number}") for number in range(2)]
    await h.advance(60)
    assert [await h.result(run) for run in runs] == [["a", "b", "c"]] * 2
    assert sorted(calls) == sorted("abc" * 2)
    assert await nothing_is_left(h)


@pytest.mark.parametrize("units", [{"x": 1, "y": 1}, {"x": 2, "y": 3}])
async def test_a_step_that_is_repeated_takes_the_place_of_the_next_one_of_its_run(app, h, units):
    """[L11] [L20] That one does not ask before it, so its turn would be nobody's."""
    times: list[tuple[str, float]] = []

    @app.workflow
    async def two(ctx, run: str) -> None:
        async def call(name: str) -> None:
            times.append((f"{run}{name}", h.clock.now()))
            await h.sleep(1)

        await ctx.gather(
            *(ctx.step(name, call, name, limit=ONE.of(units=units[name])) for name in "xy")
        )

    h.crash_after("x", written=False)
    runs = [await h.submit(two, run) for run in "ab"]
    await h.advance(60)
    assert {(await h.status(run)).state for run in runs} == {"succeeded"}
    [(_, _), (again, began), *rest] = times
    assert again == "ax"
    assert [(name, at - began) for name, at in rest] == [("bx", 1.0), ("ay", 2.0), ("by", 3.0)]
    assert await nothing_is_left(h)


@pytest.mark.parametrize("written", [True, False])
async def test_a_limited_step_that_spends_is_lost_with_its_worker(app, h, written):
    """[L11] [A12] Its slot is free again; what was reserved is lost unless it was written."""
    budget = stepflow.budget("much", usd=1, tokens=1000)

    async def call(number: int) -> int:
        TOKENS.settle(10)
        return number

    @app.workflow
    async def ask(ctx, number: int) -> int:
        spends = budget.spend(usd="0.02", tokens=150, used=lambda came_to: BILLS)
        return await ctx.step("ask", call, number, spends=spends, limit=[ONE, TOKENS.of(units=50)])

    h.crash_after("ask", written=written)
    run = await h.submit(ask, 7)
    await h.advance(60)
    assert await h.result(run) == 7
    seen = (await h.client.budgets.get("much")).spent
    assert (seen.settled_tokens, seen.settled_usd) == (100, Decimal("0.01"))
    assert seen.lost_tokens == (0 if written else 150)
    assert await nothing_is_left(h)


async def test_a_limited_step_that_spends_rests_and_is_paid_once(app, h):
    """[L10] [L11] [A12] Refused by the other side it has cost nothing, and no attempt counts."""
    budget, refused = stepflow.budget("much", tokens=1000), [True, True]

    async def call() -> str:
        if refused:
            refused.pop()
            raise RateLimited("one", retry_after=30)
        TOKENS.settle(10)
        return "ok"

    @app.workflow
    async def ask(ctx) -> str:
        spends = budget.spend(tokens=150, used=cost_of)
        limit = [ONE, TOKENS.of(units=50)]
        return await ctx.step("ask", call, retry=ONCE, spends=spends, limit=limit)

    run = await h.submit(ask)
    assert (await h.client.limits.get("one")).rests_until is not None
    await h.advance(30)
    await h.advance(30)
    assert await h.result(run) == "ok"
    seen = (await h.client.budgets.get("much")).spent
    assert (seen.settled_tokens, seen.lost_tokens, seen.reserved_tokens) == (100, 0, 0)
    assert await nothing_is_left(h)


async def test_a_step_that_waits_in_line_reserves_nothing_of_its_budget(app, h):
    """[L11] [A12] A place in line costs nobody a budget."""
    budget = stepflow.budget("much", tokens=200)

    async def call() -> str:
        await h.sleep(10)
        return "ok"

    @app.workflow
    async def ask(ctx) -> str:
        spends = budget.spend(tokens=100, used=lambda came_to: Cost(None, 100))
        return await ctx.step("ask", call, spends=spends, limit=ONE)

    runs = [await h.submit(ask) for _ in range(2)]
    assert (await h.client.budgets.get("much")).spent.reserved_tokens == 100
    await h.advance(30)
    assert [await h.result(run) for run in runs] == ["ok", "ok"]
    assert (await h.client.budgets.get("much")).spent.settled_tokens == 200
