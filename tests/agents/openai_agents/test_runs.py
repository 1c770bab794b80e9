"""[A8] Agents of the OpenAI Agents SDK, each call a step; no network but loopback."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    Model,
    ModelResponse,
    OpenAIChatCompletionsModel,
    Runner,
    Usage,
    function_tool,
)
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from stepflow import Context, Limit, RetryPolicy, RunFailed, Stepflow
from stepflow.agents.openai_agents import run
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.crashes import crash_at_every_write
from tests.agents.fake_openai import FakeOpenAI, Text, TooMany

#: what they import takes longer than they do
pytestmark = pytest.mark.crash


class Scripted(Model):
    """Answers by how often the model has spoken in the conversation, and counts."""

    def __init__(self, name: str, answers: list[Any], calls: Counter[str]) -> None:
        self.name, self.answers, self.calls = name, answers, calls

    async def get_response(self, *args: Any, input: Any, **options: Any) -> Any:  # noqa: A002  theirs
        items = [] if isinstance(input, str) else input
        done = sum(each.get("type") == "function_call_output" for each in items)
        answer = self.answers[min(done, len(self.answers) - 1)]
        self.calls[f"{self.name} {done}"] += 1
        if isinstance(answer, str):
            text = ResponseOutputText(text=answer, type="output_text", annotations=[])
            output: list[Any] = [ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )]  # fmt: skip
        else:
            output = [
                ResponseFunctionToolCall(
                    arguments=json.dumps(arguments), call_id=f"{self.name}-{done}-{index}",
                    name=tool, type="function_call",
                )
                for index, (tool, arguments) in enumerate(answer)
            ]  # fmt: skip
        used = Usage(requests=1, input_tokens=2, output_tokens=1, total_tokens=3)
        return ModelResponse(output=output, usage=used, response_id=None)

    def stream_response(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError


def make_support(calls: Counter[str]) -> Any:
    """Triage hands off to support, which looks in parallel, asks an expert, and pays if allowed."""

    @function_tool
    async def look(shelf: int) -> str:
        calls[f"look {shelf}"] += 1
        return f"saw {shelf}"

    @function_tool(needs_approval=True)
    def pay(amount: int) -> str:
        calls[f"pay {amount}"] += 1
        return f"paid {amount}"

    async def polite(context: Any, agent: Any, given: Any) -> GuardrailFunctionOutput:
        calls["guardrail"] += 1
        return GuardrailFunctionOutput(output_info={"said": given}, tripwire_triggered=False)

    expert = Agent("expert", model=Scripted("expert", [[("look", {"shelf": 9})], "yes"], calls),
                   tools=[look])  # fmt: skip
    looks = [("look", {"shelf": shelf}) for shelf in range(2)]
    answers = [
        "never",
        looks,
        "never",
        [("expert", {"input": "ok?"})],
        [("pay", {"amount": 7})],
        "done",
    ]
    support = Agent(
        "support",
        model=Scripted("support", answers, calls),
        tools=[look, pay, expert.as_tool("expert", "Ask the expert.")],
    )
    triage = Agent(
        "triage",
        model=Scripted("triage", [[("transfer_to_support", {})]], calls),
        handoffs=[support],
        input_guardrails=[InputGuardrail(polite, name="polite")],
    )

    async def agent(ctx: Context) -> Any:
        result = await run(triage, "help")
        used = result.context_wrapper.usage
        return [result.final_output, result.last_agent.name, used.requests, used.total_tokens]

    return agent


async def test_a_crash_at_every_write_repeats_what_was_in_flight_and_nothing_else():
    whole = await crash_at_every_write(make_support, in_flight=3)
    assert len(whole.journal) > 10


@pytest.fixture
async def h():
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


async def test_an_approval_is_a_question_and_a_no_is_told_to_the_model(h):
    calls: Counter[str] = Counter()
    h.app.workflow("support")(make_support(calls))
    handle = await h.submit("support")
    [question] = await h.client.questions()
    assert question.prompt == "Allow pay(amount=7)?"
    await h.client.answer(question.token, False)
    assert (await h.result(handle))[:2] == ["done", "support"]
    assert calls["pay 7"] == 0
    assert {"look", "polite", "model"} <= set(h.called)


async def test_a_guardrail_that_is_tripped_ends_the_run_live_and_on_replay(h):
    async def refuse(*args: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    check = InputGuardrail(refuse, "no", run_in_parallel=False)
    agent = Agent("a", model=Scripted("a", ["hello"], Counter()), input_guardrails=[check])

    @h.app.workflow
    async def guarded(ctx: Context) -> str:
        from agents import InputGuardrailTripwireTriggered

        try:
            await run(agent, "hi")
        except InputGuardrailTripwireTriggered as error:
            await ctx.sleep(60)
            return error.guardrail_result.guardrail.get_name()
        return "never"

    handle = await h.submit(guarded)
    await h.advance(61)
    assert await h.result(handle) == "no"
    assert h.called.count("no") == 1


async def test_the_provider_is_asked_as_often_as_the_policy_says(h):
    with FakeOpenAI(Text("hello"), TooMany(retry_after_s=60)) as server:
        async with AsyncOpenAI(base_url=server.url, api_key="none") as client:
            asker = Agent("a", model=OpenAIChatCompletionsModel("fake", client))

            @h.app.workflow
            async def agent(ctx: Context) -> str:
                result = await run(asker, "two words", retry=RetryPolicy(max_attempts=3))
                return result.final_output

            assert await h.result(await h.submit(agent)) == "hello"
            handle = await h.submit(agent)
            made = [len(server.calls)]
            for wait_s in (50, 20, 40, 100):
                await h.advance(wait_s)
                made.append(len(server.calls))
            with pytest.raises(RunFailed, match="429"):
                await h.result(handle)
    assert made == [2, 2, 3, 3, 4]


async def test_requests_have_limits_that_a_429_closes_for_all_and_tokens_count_as_used(h):
    """[A3] Each reserves ten tokens, uses three; a provider that only refuses is asked thrice."""
    requests, tokens = Limit("requests", concurrency=10), Limit("tokens", rate="1/s", burst=10)
    policy, made = RetryPolicy(max_attempts=3), []
    with FakeOpenAI(TooMany(retry_after_s=4), Text("two words")) as server:
        async with AsyncOpenAI(base_url=server.url, api_key="none") as client:
            asker = Agent("a", model=OpenAIChatCompletionsModel("fake", client))

            @h.app.workflow
            async def agent(ctx: Context) -> str:
                limit = [requests, tokens.of(units=10)]
                return (await run(asker, "hi", retry=policy, limit=limit)).final_output

            runs = [await h.submit(agent) for _ in range(3)]
            for wait_s in (3.9, 0.2, 3, 3):
                await h.advance(wait_s)
                made.append(len(server.calls))
            assert [await h.result(each) for each in runs] == ["two words"] * 3
            assert made == [1, 2, 3, 4]
            server.reply(TooMany(retry_after_s=4))
            refused = await h.submit(agent)
            await h.advance(60)
            with pytest.raises(RunFailed, match="429"):
                await h.result(refused)
    assert len(server.calls) == 4 + policy.max_attempts


async def test_outside_of_workflows_and_in_steps_it_is_the_runner_of_the_sdk(h):
    agent = Agent("a", model=Scripted("a", ["hello"], Counter()))
    assert (await run(agent, "hi")).final_output == "hello"

    async def ask() -> str:
        return (await Runner.run(agent, "hi")).final_output

    @h.app.workflow
    async def asks(ctx: Context) -> str:
        return await ctx.step(ask)

    assert await h.result(await h.submit(asks)) == "hello"
    assert h.called == ["ask"]


async def test_a_session_is_read_and_written_once(h):
    from agents import SQLiteSession

    session = SQLiteSession("s")
    agent = Agent("a", model=Scripted("a", ["hello"], Counter()))

    @h.app.workflow
    async def talk(ctx: Context) -> str:
        result = await run(agent, "hi", session=session)
        await ctx.sleep(60)
        return result.final_output

    handle = await h.submit(talk)
    await h.advance(61)
    assert await h.result(handle) == "hello"
    assert [item["role"] for item in await session.get_items()] == ["user", "assistant"]
    await asyncio.to_thread(session.close)


async def test_what_a_replay_would_do_again_is_refused(h):
    from agents import LocalShellTool

    agent = Agent(
        "a", model=Scripted("a", ["x"], Counter()), tools=[LocalShellTool(executor=print)]
    )

    @h.app.workflow
    async def shell(ctx: Context) -> None:
        await run(agent, "hi")

    with pytest.raises(RunFailed, match="LocalShellTool, which would run again on each replay"):
        await h.result(await h.submit(shell))
