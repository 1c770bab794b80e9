"""[A10] pydantic-ai's models as providers, against a server on loopback."""

from __future__ import annotations

from typing import Annotated, Any

import httpx2
import pytest
from pydantic import Field

import stepflow
from stepflow import OutputItem, OutputReset, RetryPolicy, RunFailed, Stepflow
from stepflow.agents.providers import Completion, Resilient, from_pydantic_ai
from stepflow.agents.tools import tool
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.fake_openai import (
    FakeOpenAI,
    Overloaded,
    PromptTooLong,
    Text,
    ToolCalls,
    TooMany,
)
from tests.agents.scripted import InTurn

#: what they import takes longer than they do
pytestmark = pytest.mark.crash


@pytest.fixture
async def h():
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


@pytest.fixture
async def model_at():
    """Make a provider that asks the model of a server."""
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    async with httpx2.AsyncClient(trust_env=False) as http:

        def make(server: FakeOpenAI, name: str = "fake") -> Any:
            provider = OpenAIProvider(base_url=server.url, api_key="none", http_client=http)
            return from_pydantic_ai(OpenAIChatModel(name, provider=provider))

        yield make


async def submit(h: Harness, provider: Any, tools: Any = (), **options: Any) -> Any:
    """Submit a run that is one loop."""

    @h.app.workflow(f"ask{len(h.app.registry.runners)}")
    async def workflow(ctx) -> Completion:
        given = {"retry": RetryPolicy(max_attempts=3, initial=1), **options}
        done = await ctx.tool_loop(provider, tools, "two words", **given)
        return Completion(done.text, usage=done.usage, ledger=done.ledger)

    return await h.submit(workflow)


async def ask(h: Harness, provider: Any, tools: Any = (), **options: Any) -> Completion:
    handle = await submit(h, provider, tools, **options)
    await h.advance(60)
    return await h.result(handle)


@tool(read_only=True)
async def double(value: Annotated[int, Field(description="to be doubled")]) -> int:
    """Double a number."""
    return 2 * value


async def test_a_conversation_with_tools_says_all_that_the_model_has_to_know(h, model_at):
    calls = ToolCalls((("double", {"value": 4}), ("double", {"value": 5})))
    with FakeOpenAI(calls, Text("8 and 10")) as server:
        done = await ask(h, model_at(server), [double], system="be brief", max_tokens=50)
    assert (done.text, done.usage.requests) == ("8 and 10", 2)
    first, second = (call.body for call in server.calls)
    assert first["tools"][0]["function"]["parameters"]["required"] == ["value"]
    assert first["max_completion_tokens"] == 50
    assert [each["role"] for each in second["messages"]] == [
        "system", "user", "assistant", "tool", "tool",
    ]  # fmt: skip
    assert [each["content"] for each in second["messages"][3:]] == ["8", "10"]
    assert server.billed == (done.usage.input_tokens, done.usage.output_tokens)


async def test_a_call_that_always_gets_429_makes_as_many_requests_as_attempts(h, model_at):
    with FakeOpenAI(TooMany(retry_after_s=600)) as server:
        handle = await submit(h, model_at(server))
        made = [len(server.calls)]
        for wait_s in (590, 20, 570, 3600):
            await h.advance(wait_s)
            made.append(len(server.calls))
        with pytest.raises(RunFailed, match="429"):
            await h.result(handle)
    assert made == [1, 1, 2, 2, 3]


@pytest.mark.parametrize("reply", [Overloaded(), TooMany(code="insufficient_quota")])
async def test_overload_and_quota_go_to_the_fallback_at_once(h, model_at, reply):
    with FakeOpenAI(reply) as busy, FakeOpenAI(Text("yes")) as other:
        done = await ask(h, Resilient(model_at(busy, "busy"), [model_at(other, "other")]))
    assert (done.text, len(busy.calls), len(other.calls)) == ("yes", 1, 1)
    assert [each.provider for each in done.ledger] == ["busy", "other"]


async def test_a_cut_answer_and_a_long_prompt_are_asked_for_again(h, model_at):
    cut = Text("so far so", finish="length")
    with FakeOpenAI(PromptTooLong(), cut, Text("so far so good")) as server:
        provider = Resilient(
            model_at(server), on_too_long=lambda messages: messages[-1:], double_max_tokens=100
        )
        done = await ask(h, provider, system="be brief")
    assert [each.outcome for each in done.ledger] == ["prompt_too_long", "length", "stop"]
    assert [len(call.body["messages"]) for call in server.calls] == [2, 1, 1]
    assert server.calls[-1].body["max_completion_tokens"] == 6
    assert server.billed == (done.usage.input_tokens, done.usage.output_tokens)


async def test_what_a_cut_stream_has_said_is_void_and_the_whole_answer_comes_once(h, model_at):
    with FakeOpenAI(Text("one two three", cut_after=2), Text("one two three")) as server:
        handle = await submit(h, model_at(server), stream=True)
        await h.advance(60)
        items = [item async for item in handle.output(live=False)]
    assert ((await h.result(handle)).text, len(server.calls)) == ("one two three", 2)
    said = ""
    for item in items:
        match item:
            case OutputItem(data=str(word), topic="model"):
                said += word
            case OutputReset():
                said = ""
    assert said == "one two three"


async def test_what_came_of_streams_that_were_cut_is_in_the_ledger_and_in_the_budget(h, model_at):
    """[A7] At least a token for each piece; what is not known stays reserved as lost."""
    whole, first, second = (Text("one two three", cut_after=cut) for cut in (None, 2, 1))
    budget = stepflow.budget("acme", tokens=10_000)
    with FakeOpenAI(first, second, whole) as server:
        options = {"stream": True, "budget": budget, "max_tokens": 50}
        done = await ask(h, Resilient(model_at(server)), **options)
        assert [(each.outcome, each.usage.output_tokens) for each in done.ledger] == [
            ("transient", 2), ("transient", 1), ("stop", 3),
        ]  # fmt: skip
        assert (done.usage.output_tokens, done.usage.requests) == (6, 1)
        spent = (await h.client.budgets.get("acme")).spent
        assert (spent.calls, spent.lost, spent.settled_tokens, spent.least_tokens) == (3, 2, 5, 3)
        server.reply(first, whole)
        assert (await ask(h, model_at(server), **options)).usage.output_tokens == 5
        server.reply(second)
        failed = await submit(h, Resilient(model_at(server), [InTurn(["yes"])]), stream=True)
        await h.advance(60)
        ledger = (await h.result(failed)).ledger
        assert [each.usage.output_tokens for each in ledger] == [1, 1, 1, 1]


async def test_a_route_has_to_be_called_for(h, model_at):
    with FakeOpenAI(ToolCalls((("choose_route", {"route": "refund"}),))) as server:

        @h.app.workflow
        async def choose(ctx) -> str | None:
            return await ctx.route(model_at(server), "money!", {"refund": "wants money back"})

        assert await h.result(await h.submit(choose)) == "refund"
    body = server.calls[0].body
    assert body["tool_choice"] == "required"
    assert body["tools"][0]["function"]["parameters"]["properties"]["route"]["enum"] == [
        "refund", None,
    ]  # fmt: skip
