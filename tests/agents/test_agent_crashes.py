"""[A9] [A10] [A14] A worker that dies at any journal write repeats at most what was in flight."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from stepflow import Context
from stepflow.agents.providers import (
    Completion,
    CompletionRequest,
    PromptTooLong,
    ProviderOverloaded,
    Resilient,
    Usage,
)
from stepflow.agents.tools import tool
from tests.agents.crashes import crash_at_every_write
from tests.agents.scripted import Calling, Scripted

pytestmark = pytest.mark.crash


class Counted(Scripted):
    """Counts each call under how far the conversation had come."""

    calls: Counter[str]

    async def complete(self, request: CompletionRequest) -> Completion:
        self.calls[f"{self.name}{len(request.messages)}"] += 1
        return await super().complete(request)


async def test_a_tool_loop_that_asks_and_calls_side_by_side():
    def make(calls: Counter[str]) -> Any:
        @tool(read_only=True)
        async def look(n: int) -> int:
            calls[f"look{n}"] += 1
            return n

        @tool(ask=True)
        async def pay(amount: int, idempotency_key: str) -> str:
            calls[f"pay{amount}"] += 1
            return idempotency_key

        looks = [("look", {"n": n}) for n in range(4)]
        model = Counted([[*looks, ("pay", {"amount": 7})], [("look", {"n": 9})], "done"])
        model.calls = calls

        async def agent(ctx: Context) -> Any:
            done = await ctx.tool_loop(model, [look, pay], "go")
            return done.text, done.usage, [each.text for each in done.messages]

        return agent

    await crash_at_every_write(make, in_flight=4)


async def test_a_provider_with_fallbacks_that_shortens_and_asks_for_more_room():
    def make(calls: Counter[str]) -> Any:
        def say(request: CompletionRequest) -> Completion:
            calls[f"big{len(request.messages)}.{request.max_tokens}"] += 1
            if len(request.messages) > 1:
                raise PromptTooLong("big", "too long")
            finish = "length" if (request.max_tokens or 0) < 40 else "stop"
            return Completion("said", finish=finish, usage=Usage(1, 10, 0, 1))

        def refuse(request: CompletionRequest) -> Completion:
            calls["overloaded"] += 1
            raise ProviderOverloaded("first", "too much to do")

        provider = Resilient(
            Calling(refuse, "first"), [Calling(say, "big")],
            on_too_long=lambda messages: messages[-1:], double_max_tokens=100,
        )  # fmt: skip

        async def agent(ctx: Context) -> Any:
            done = await ctx.tool_loop(provider, [], "go", system="be brief", max_tokens=10)
            return done.text, done.usage, done.ledger

        return agent

    await crash_at_every_write(make)


async def test_a_route_and_a_loop_in_each_branch():
    def make(calls: Counter[str]) -> Any:
        model = Counted([[("choose_route", {"route": "refund"})]])
        model.calls = calls

        async def branch(ctx: Context, name: str) -> Any:
            answer = Counted([name], name=name)
            answer.calls = calls
            return (await ctx.tool_loop(answer, [], "go")).text

        async def agent(ctx: Context) -> Any:
            route = await ctx.route(model, "money back", {"refund": "wants money back"})
            texts = await ctx.gather(lambda: branch(ctx, "a"), lambda: branch(ctx, "b"))
            again = await ctx.route(model, "money back", {"refund": "wants money back"})
            return route, texts, again

        return agent

    await crash_at_every_write(make, in_flight=2)
