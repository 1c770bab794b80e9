"""[A9] The tool loop, on the real engine in the harness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from stepflow import Context, InvalidOption, RunFailed, Stepflow, TransientError, inject
from stepflow.agents.providers import Completion, Message
from stepflow.agents.tools import as_tool, tool
from stepflow.agents.tools.loop import LoopOptions, ToolLoop
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.scripted import Scripted


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere", settings=Settings())


@pytest.fixture
async def h(app: Stepflow) -> AsyncIterator[Harness]:
    async with Harness(app) as h:
        yield h


class City(BaseModel):
    name: str
    day: date | None = None


@tool(read_only=True, timeout=20)
async def weather(
    city: City, unit: Annotated[str, Field(description="C or F")] = "C"
) -> dict[str, Any]:
    """
    Look up the weather.

    What stands here is not for the model.
    """
    return {"city": city.name, "day": city.day, "unit": unit}


def carry(app: Stepflow, provider: Any, tools: Any, prompt: Any = "go", **options: Any) -> str:
    @app.workflow("agent")
    async def agent(ctx: Context) -> Any:
        done = await ctx.tool_loop(provider, tools, prompt, **options)
        answers = [each.text for each in done.messages if each.role == "tool"]
        return {"text": done.text, "rounds": done.rounds, "usage": done.usage, "tools": answers}

    return "agent"


async def run(h: Harness, provider: Any, tools: Any, prompt: Any = "go", **options: Any) -> Any:
    return await h.result(await h.submit(carry(h.app, provider, tools, prompt, **options)))


def test_the_schema_of_a_tool_follows_from_its_signature():
    spec = as_tool(weather).spec()
    assert (spec.name, spec.description) == ("weather", "Look up the weather.")
    assert spec.parameters["properties"]["unit"] == {
        "type": "string", "default": "C", "description": "C or F",
    }  # fmt: skip
    assert spec.parameters["required"] == ["city"]
    assert spec.parameters["additionalProperties"] is False


async def test_it_goes_round_until_the_model_wants_no_more_tools(h):
    model = Scripted([
        [("weather", {"city": {"name": "Oslo", "day": "2030-01-01"}})],
        [("weather", {"city": {"name": "Rome"}, "unit": "F"})],
        "mild",
    ])  # fmt: skip
    done = await run(h, model, [weather], system="be brief")
    assert (done["text"], done["rounds"]) == ("mild", 3)
    assert done["tools"] == [
        '{"city":"Oslo","day":"2030-01-01","unit":"C"}',
        '{"city":"Rome","day":null,"unit":"F"}',
    ]
    assert done["usage"]["requests"] == 3
    assert [each.role for each in model.requests[0].messages] == ["system", "user"]
    assert h.called == ["model", "weather", "model", "weather", "model"]


async def test_read_only_calls_run_side_by_side_and_others_alone_in_their_order(h):
    at_work, log = set(), []

    def made(name, **options):
        async def work(n: int) -> int:
            at_work.add(name + str(n))
            await asyncio.sleep(0)
            await asyncio.sleep(0.01 / n)
            log.append(sorted(at_work))
            at_work.discard(name + str(n))
            return n

        return tool(name=name, **options)(work)

    read, write = made("read", read_only=True), made("write")
    calls = [("read", {"n": 1}), ("read", {"n": 2}), ("write", {"n": 3}), ("read", {"n": 4})]
    done = await run(h, Scripted([calls, "ok"]), [read, write])
    assert done["tools"] == ["1", "2", "3", "4"]
    assert log == [["read1", "read2"], ["read1"], ["write3"], ["read4"]]


async def test_at_most_so_many_read_only_calls_are_at_work(h):
    at_work, most = [], []

    @tool(read_only=True)
    async def read(n: int) -> int:
        at_work.append(n)
        most.append(len(at_work))
        await asyncio.sleep(0)
        at_work.remove(n)
        return n

    calls = [("read", {"n": n}) for n in range(5)]
    done = await run(h, Scripted([calls, "ok"]), [read], concurrency=2)
    assert done["tools"] == ["0", "1", "2", "3", "4"]
    assert max(most) == 2


async def test_what_goes_wrong_is_told_to_the_model(h):
    @tool
    async def broken(why: str) -> None:
        raise ValueError(why)

    calls = [
        ("nosuch", {}), ("weather", "{"), ("weather", {"city": {}}), ("weather", {"town": 1}),
        ("broken", {"why": "no luck"}),
    ]  # fmt: skip
    done = await run(h, Scripted([calls, "sorry"]), [weather, broken])
    unknown, unreadable, lacking, extra, broken_too = done["tools"]
    assert "no tool 'nosuch'; the tools are: weather, broken" in unknown
    assert "cannot be read: Invalid JSON" in unreadable
    assert "city.name: Field required" in lacking
    assert "town: Extra inputs are not permitted" in extra
    assert broken_too == "Error: ValueError: no luck"
    assert h.called == ["model", "broken", "model"]


async def test_over_max_rounds_it_fails_after_exactly_so_many_calls(h):
    model = Scripted([[("weather", {"city": {"name": "Oslo"}})]])
    with pytest.raises(RunFailed, match="called 3 times and still wants tools"):
        await run(h, model, [weather], max_rounds=3)
    assert len(model.requests) == 3
    assert h.called.count("weather") == 2


async def test_a_tool_gets_its_own_key_the_same_in_all_attempts_and_what_it_asks_for(app):
    keys, fails = [], [True]

    @app.resource
    async def shop() -> AsyncIterator[str]:
        yield "shop"

    @tool
    async def refund(amount: int, *, idempotency_key: str, at: str = inject(shop)) -> str:
        keys.append(idempotency_key)
        if fails.pop():
            fails.append(False)
            raise TransientError("again")
        fails.append(False)
        return f"{at} {amount}"

    assert set(as_tool(refund).spec().parameters["properties"]) == {"amount"}
    calls = [("refund", {"amount": 1}), ("refund", {"amount": 1})]
    async with Harness(app) as h:
        name = carry(app, Scripted([calls, "ok"]), [refund])
        handle = await h.submit(name)
        await h.advance(60)
        assert (await h.result(handle))["tools"] == ["shop 1", "shop 1"]
    assert keys[0] == keys[1] != keys[2]


async def test_people_are_asked_first_and_what_was_done_is_undone_if_the_run_fails(h):
    undone = []

    @tool(ask="Refund {amount} {currency}?", compensate=undone.append)
    async def refund(amount: int, currency: str = "EUR") -> str:
        return f"refunded {amount}"

    calls = [("refund", {"amount": 5}), ("refund", {"amount": 900})]
    handle = await h.submit(
        carry(h.app, Scripted([calls, [("refund", "{}")]]), [refund], max_rounds=2)
    )
    for prompt, answer in (("Refund 5 EUR?", True), ("Refund 900 EUR?", False)):
        [question] = await h.client.questions()
        assert question.prompt == prompt
        await h.client.answer(question.token, answer)
    with pytest.raises(RunFailed, match="TooManyRounds"):
        await h.result(handle)
    assert undone == ["refunded 5"]


async def test_a_tool_in_the_workflow_runs_a_loop_of_its_own(h):
    from stepflow import current

    inner = Scripted(["the answer"])

    @tool(in_workflow=True, read_only=True)
    async def research(topic: str) -> str:
        """Research a topic."""
        return (await current().tool_loop(inner, [], topic)).text

    calls = [("research", {"topic": "a"}), ("research", {"topic": "b"})]
    done = await run(h, Scripted([calls, "ok"]), [research])
    assert done["tools"] == ["the answer"] * 2
    assert h.called == ["model"] * 4


async def test_a_plain_workflow_has_it_too_and_a_conversation_goes_on(h):
    model = Scripted(["one", "two"])

    @h.app.workflow("plain")
    def plain(ctx) -> list[str]:
        first = ctx.tool_loop(model, [], "hello")
        second = ctx.tool_loop(model, [], [*first.messages, Message("user", "and?")])
        return [first.text, second.text]

    assert await h.result(await h.submit("plain")) == ["one", "two"]


@pytest.mark.parametrize("provider", [Scripted([Completion("so f", finish="length")])])
async def test_an_answer_that_was_cut_off_is_no_answer(h, provider):
    with pytest.raises(RunFailed, match="cut off by max_tokens"):
        await run(h, provider, [])


def refuse(function, **options):
    return lambda: tool(**options)(function)


def star(*values: int) -> None: ...
def named(amount: int) -> None: ...


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (refuse(star), "a model passes all by name"),
        (refuse(named, name="a b"), "use letters, digits"),
        (refuse(named, ask="Refund {sum}?"), "names sum, which it does not take"),
        (refuse(named, ask="Refund {amount?"), "expected '}'"),
        (refuse(named, compensate=3), "not a function"),
    ],
)
def test_a_tool_that_no_model_could_call_is_refused_where_it_is_declared(made, said):
    with pytest.raises(InvalidOption, match=said):
        made()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_rounds": 0}, "whole number from 1"),
        ({"tools": [weather, weather]}, "have one name"),
        ({"prompt": []}, "it is a text, or Messages"),
        ({"provider": 3}, "it takes a Provider"),
    ],
)
def test_a_loop_that_cannot_be_begun_says_so(options, said):
    given = {"provider": Scripted(["ok"]), "tools": [], "prompt": "go", **options}
    limits = {name: given.pop(name) for name in ("max_rounds",) if name in given}
    with pytest.raises(InvalidOption, match=said):
        ToolLoop(None, **given, options=LoopOptions(**limits))
