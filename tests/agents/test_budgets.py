"""[A12] Budgets of tool loops and of agents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage

import stepflow
from stepflow import Context, Stepflow
from stepflow.agents.budgets import charging
from stepflow.agents.budgets.prices import at_most, price_of
from stepflow.agents.providers import ProviderOverloaded, Usage
from stepflow.agents.pydantic_ai import Durable
from stepflow.testing import Harness
from tests.agents.scripted import InTurn, Scripted

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds

ACME = stepflow.budget("acme", usd=1, tokens=100_000)


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.fixture
async def h(app: Stepflow) -> AsyncIterator[Harness]:
    async with Harness(app) as harness:
        yield harness


@dataclass
class Priced(Scripted):
    """Costs a cent a request."""

    def price(self, usage: Usage) -> Decimal:
        return Decimal("0.01") * usage.requests


def double(number: int) -> int:
    """Double a number."""
    return 2 * number


async def test_a_tool_loop_spends_what_its_requests_cost(app: Stepflow, h: Harness) -> None:
    """A crash loses one request: what that may have cost stays reserved as lost."""
    provider = Priced([[("double", {"number": 2})], "4"])

    @app.workflow
    async def agent(ctx: Context) -> Any:
        done = await ctx.tool_loop(provider, [double], "go", budget=ACME, max_tokens=50)
        return done.usage.requests

    h.crash_after("model", written=False)
    run = await h.submit(agent)
    assert await h.result(run) == 2
    assert len(provider.requests) == 3
    spent = (await h.client.budgets.get("acme")).spent
    assert (spent.settled_usd, spent.lost_usd, spent.lost) == (Decimal("0.02"), Decimal("0.01"), 1)


async def test_a_loop_whose_answers_have_no_limit_is_refused(app: Stepflow, h: Harness) -> None:
    @app.workflow
    async def agent(ctx: Context) -> str:
        return (await ctx.tool_loop(Priced(["4"]), [], "go", budget=ACME)).text

    run = await h.submit(agent)
    assert "pass max_tokens=" in str((await h.status(run)).error)


async def test_a_request_that_was_refused_has_cost_nothing(app: Stepflow, h: Harness) -> None:
    provider = InTurn([ProviderOverloaded("in-turn", "busy"), "4"])
    budget = stepflow.budget("acme", tokens=100_000)

    @app.workflow
    async def agent(ctx: Context) -> str:
        return (await ctx.tool_loop(provider, [], "go", budget=budget, max_tokens=50)).text

    run = await h.submit(agent)
    await h.advance(60)
    assert await h.result(run) == "4"
    spent = (await h.client.budgets.get("acme")).spent
    assert (spent.calls, spent.lost, spent.settled_tokens) == (2, 0, 2)


async def test_an_agent_and_its_sub_agent_spend_of_the_runs_budget(
    app: Stepflow, h: Harness
) -> None:
    def answer(messages: Any, info: Any) -> ModelResponse:
        is_first = len(messages) == 1 and bool(info.function_tools)
        part = ToolCallPart("ask_other", {}) if is_first else TextPart("done")
        return ModelResponse(
            parts=[part], usage=RequestUsage(input_tokens=1000, output_tokens=100),
            model_name="gpt-4o", provider_name="openai",
        )  # fmt: skip

    def make(name: str) -> Agent[None, str]:
        model = FunctionModel(answer, model_name="gpt-4o")
        return Agent(model, name=name, capabilities=[Durable()], model_settings={"max_tokens": 200})

    outer, inner = make("outer"), make("inner")

    @outer.tool_plain(metadata={"stepflow": False})
    async def ask_other() -> str:
        return (await inner.run("and you?")).output

    @app.workflow
    async def support(ctx: Context) -> str:
        with charging(ctx.budget("order", usd="0.50", tokens=100_000)):
            return (await outer.run("hello")).output

    run = await h.submit(support)
    assert await h.result(run) == "done"
    spent = (await h.client.budgets.get(f"order@{run.id}.0")).spent
    assert (spent.calls, spent.settled_tokens) == (3, 3300)
    assert spent.settled_usd == Decimal("0.0105")


def test_the_bound_of_a_request_is_above_its_price() -> None:
    """No vocabulary has more tokens for a text than that has bytes."""
    price = price_of("gpt-4o", "openai")
    assert price(1000, 100, 0) == Decimal("0.0035")
    most = at_most(1000, 1, 100, price)
    assert most.usd is not None
    assert (most.tokens, most.usd > Decimal("0.0035")) == (1132, True)
    assert price_of("a-model-of-nobody")(1, 1, 0) is None
