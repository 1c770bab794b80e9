"""[A11] Conversations with an agent, each a run."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import FunctionModel

from stepflow import InvalidOption, OutputGap, OutputItem, PermanentError, RunNotFound, Stepflow
from stepflow.agents.chat import KeepLast, Summarize, read_turns
from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.pydantic_ai.runs import AgentRuns
from stepflow.kits.flow.replay.activation import Activation
from stepflow.settings import Settings
from stepflow.testing import Harness

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds


def echo(seen: list[int]) -> Agent[None, str]:
    """An agent that says what it was told, and notes how many messages it was given."""

    def answer(messages: Any, info: Any) -> ModelResponse:
        del info
        seen.append(len(messages))
        return ModelResponse(parts=[TextPart(f"re: {messages[-1].parts[-1].content}")])

    return Agent(FunctionModel(answer), name="echo", capabilities=[Durable()])


def texts(messages: Any) -> list[str]:
    return [str(part.content) for message in messages for part in message.parts]


async def answers(h: Harness, conversation: str) -> list[Any]:
    heard = h.client.output(conversation, topics=["chat"], live=False)
    return [each.data async for each in heard if isinstance(each, OutputItem)]


async def test_each_word_is_a_turn_and_the_model_knows_those_before() -> None:
    seen: list[int] = []
    app = Stepflow()
    app.chat("support", echo(seen))
    async with Harness(app) as h:
        assert await h.client.say("chat-42", "hello", chat="support") == "started"
        await h.client.say("chat-42", "and now?")
        assert seen == [1, 3]
        variables = await h.client.vars("chat-42")
        assert texts(read_turns(variables)) == ["hello", "re: hello", "and now?", "re: and now?"]
        await h.client.cancel("chat-42")


async def test_two_words_at_once_are_both_answered_in_order_and_once() -> None:
    """A word that is said again under its id is none."""
    app = Stepflow()
    app.chat("support", echo([]))
    async with Harness(app) as h:
        await h.client.say("c", "one", chat="support", dedup="1")
        words = ("two", "2"), ("three", "3"), ("two", "2")
        await asyncio.gather(*(h.client.say("c", text, dedup=dedup) for text, dedup in words))
        said = await answers(h, "c")
        assert [each["text"] for each in said] == ["re: one", "re: two", "re: three"]
        await h.client.cancel("c")


async def test_a_crash_in_a_turn_asks_the_model_once_more_and_answers_once() -> None:
    seen: list[int] = []
    app = Stepflow()
    app.chat("support", echo(seen))
    async with Harness(app) as h:
        h.crash_after("echo.model", written=False)
        await h.client.say("c", "one", chat="support")
        h.crash_after("echo.model")
        await h.client.say("c", "two")
        assert [each["text"] for each in await answers(h, "c")] == ["re: one", "re: two"]
        assert seen == [1, 1, 3]
        await h.client.cancel("c")


async def cost(h: Harness, text: str) -> int:
    """Say something; return the bytes of the history that its turn began with and left."""
    await h.client.say("c", text, chat="support")
    return len(json.dumps(await h.history("c"), default=str))


@pytest.mark.crash
async def test_a_turn_costs_the_same_however_long_the_conversation_is() -> None:
    """The model is given the last messages, all of them are kept, and once."""
    seen: list[int] = []
    app = Stepflow()
    app.chat("support", echo(seen), compact=KeepLast(4))
    async with Harness(app) as h:
        costs = [await cost(h, f"{turn:03}") for turn in range(20)]
        assert seen[3:] == [5] * 17
        assert max(costs[5:]) <= costs[4] + 100
        variables = await h.client.vars("c")
        assert len(read_turns(variables)) == 40
        assert len(variables) == 21
        await h.client.cancel("c")


async def test_old_answers_leave_the_output_and_not_the_conversation() -> None:
    """[A11] What was said is kept once: the output has what readers have not had time to read."""
    app = Stepflow()
    app.chat("support", echo([]))
    async with Harness(app) as h:
        for turn in range(10):
            await h.client.say("c", f"{turn} " * 10_000, chat="support")
        events = [event async for event in h.client.output("c", topics=["chat"], live=False)]
        assert isinstance(events[0], OutputGap)
        heard = [event.data["turn"] for event in events if isinstance(event, OutputItem)]
        assert heard == [4, 5, 6, 7, 8, 9]
        assert len(read_turns(await h.client.vars("c"))) == 20
        await h.client.cancel("c")


async def test_a_summary_takes_the_place_of_what_it_sums_up() -> None:
    """One that fails leaves the messages as they are."""
    asked: list[int] = []

    def sum_up(messages: Any, info: Any) -> ModelResponse:
        del info
        asked.append(len(messages))
        if len(asked) == 1:
            raise PermanentError("no summary today")
        return ModelResponse(parts=[TextPart("they greeted")])

    seen: list[int] = []
    summarizer = Agent(FunctionModel(sum_up), name="sum", capabilities=[Durable()])
    app = Stepflow()
    app.chat("support", echo(seen), compact=Summarize(summarizer, past=4, keep=2))
    async with Harness(app) as h:
        for turn in range(5):
            await h.client.say("c", f"{turn}", chat="support")
        assert seen == [1, 3, 5, 7, 3]  # the summary is of one message with the word after it
        await h.client.cancel("c")


async def test_a_conversation_ends_when_nobody_says_a_word() -> None:
    app = Stepflow()
    app.chat("support", echo([]), idle=60)
    async with Harness(app) as h:
        await h.client.say("c", "hello", chat="support")
        await h.advance(60)
        assert await h.result("c") == 1
        assert await h.client.say("c", "again", chat="support") == "started"
        await h.advance(60)


async def test_a_turn_that_fails_says_so_and_the_conversation_goes_on() -> None:
    failing = [True]

    def answer(messages: Any, info: Any) -> ModelResponse:
        del messages, info
        if failing[0]:
            raise ValueError("no model today")
        return ModelResponse(parts=[TextPart("here again")])

    app = Stepflow()
    agent: Agent[None, str] = Agent(FunctionModel(answer), name="a", capabilities=[Durable()])
    app.chat("support", agent)
    async with Harness(app) as h:
        await h.client.say("c", "hello", chat="support")
        await h.advance(60)
        failing[0] = False
        await h.client.say("c", "hello?")
        first, second = await answers(h, "c")
        assert "no model today" in first["error"]
        assert second == {"turn": 1, "text": "here again"}
        await h.client.cancel("c")


@pytest.mark.parametrize("what", ["deps", "compact", "too much to keep"])
async def test_a_turn_that_fails_around_its_agent_ends_no_conversation(what: str) -> None:
    """Its dependencies, what makes its messages fewer, and messages that cannot be kept."""
    failing = [True]

    def deps(ctx: Any) -> None:
        if failing[0] and what == "deps":
            raise ValueError("deps cannot be had")

    async def compact(messages: Any) -> Any:
        if failing[0] and what == "compact":
            raise ValueError("compact cannot be done")
        return messages

    def answer(messages: Any, info: Any) -> ModelResponse:
        del messages, info
        more = "x" * 3500 if failing[0] and what == "too much to keep" else ""
        return ModelResponse(parts=[TextPart(f"here{more}")])

    app = Stepflow(settings=Settings(limits={"payload_bytes": 6000}))
    agent: Agent[None, str] = Agent(FunctionModel(answer), name="a", capabilities=[Durable()])
    app.chat("support", agent, deps=deps, compact=compact)
    async with Harness(app) as h:
        for _ in range(2):  # the messages of both turns are too much
            await h.client.say("c", "hello", chat="support")
        failing[0] = False
        await h.client.say("c", "hello?")
        _, failed, last = await answers(h, "c")
        assert {"turn", "error"} == failed.keys()
        assert last == {"turn": 2, "text": "here"}
        await h.client.cancel("c")


async def test_what_is_kept_of_a_conversation_begins_with_a_word_of_a_person() -> None:
    """Also where more came since than is to be kept: else the model would know nothing."""
    call, result = ToolCallPart("look", {}), ToolReturnPart("look", "seen")
    words = [ModelRequest(parts=[UserPromptPart(word)]) for word in ("one", "two")]
    turn = [ModelResponse(parts=[call]), ModelRequest(parts=[result])]
    end = ModelResponse(parts=[TextPart("done")])
    long: list[Any] = [words[0], end, words[1], *turn, *turn, *turn, end]
    assert await KeepLast(4)(long) == long[2:]
    assert await KeepLast(8)(long) == long[2:]
    assert await KeepLast(9)(long) == long[2:]
    assert await KeepLast(10)(long) == long
    assert await KeepLast(3)([*long, words[0], end]) == [words[0], end]
    assert await KeepLast(1)([end, end]) == [end, end]


async def test_what_cannot_be_said_is_refused() -> None:
    app = Stepflow()
    app.chat("support", echo([]))
    async with Harness(app) as h:
        with pytest.raises(RunNotFound):
            await h.client.say("nobody", "hello")
        with pytest.raises(InvalidOption, match="what you say"):
            await h.client.say("c", "", chat="support")
    with pytest.raises(InvalidOption, match="keep less than past"):
        Summarize(echo([]), past=3, keep=3)
    with pytest.raises(InvalidOption, match="from 1"):
        KeepLast(0)


def left() -> int:
    gc.collect()
    return sum(type(each) in (AgentRuns, Activation) for each in gc.get_objects())


async def test_a_turn_leaves_nothing_of_itself_in_the_process() -> None:
    """[A11] Not its activation, nor what the agent's runs are known by."""
    app = Stepflow()
    app.chat("support", echo([]))
    async with Harness(app) as h:
        await h.client.say("c", "hello", chat="support")
        before = left()
        for number in range(10):
            await h.client.say("c", f"word {number}")
        assert left() <= before + 1
        await h.client.cancel("c")
