"""What a model says while it says it: published, dropped when void, kept when it is stopped."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

import stepflow
from stepflow import AsyncClient, Context, OutputView, RetryPolicy, Stepflow
from stepflow.agents.budgets import charging
from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.streams import ag_ui, ai_sdk, assemble, caught_up
from tests.agents.fake_openai import FakeOpenAI, Text, ToolCalls
from tests.conftest import Working
from tests.support import until

pytestmark = pytest.mark.crash


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect it here, and not in whichever test comes next."""
    yield
    gc.collect()


LONG = " ".join(f"word{n}" for n in range(200))


@pytest.fixture
async def provider() -> AsyncIterator[FakeOpenAI]:
    with FakeOpenAI(ToolCalls((("look", {"shelf": 3}),)), Text(LONG)) as server:
        yield server


@pytest.fixture
async def desk(app: Stepflow, provider: FakeOpenAI) -> AsyncIterator[Stepflow]:
    client = AsyncOpenAI(base_url=provider.url, api_key="none")
    agent = Agent(
        OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=client)),
        name="desk",
        capabilities=[Durable(stream=True, retry=RetryPolicy(initial=0.01))],
    )

    @agent.tool_plain
    async def look(shelf: int) -> str:
        return f"saw {shelf}"

    app.agent("desk", agent)
    yield app
    await client.close()


async def frames(events: AsyncIterator[str]) -> list[dict]:
    return [
        json.loads(line.removeprefix("data: "))
        async for frame in events
        for line in frame.splitlines()
        if line.startswith("data: {")
    ]


async def test_pieces_are_the_committed_answers_for_readers_live_and_late(
    desk: Stepflow, provider: FakeOpenAI, aclient: AsyncClient, working: Working
) -> None:
    """[A13] Also of a request whose stream was cut; who comes late has it in one piece."""
    provider.reply(Text(LONG, cut_after=50), ToolCalls((("look", {"shelf": 3}),)), Text(LONG))
    async with working(desk):
        run = await aclient.submit("desk", "what is there?")
        view = OutputView()
        async for event in caught_up(aclient, run.id):
            view.apply(event)
        assert await run.result(60) == LONG
    calls, text = assemble(view.items)
    assert [(call.name, json.loads(call.args)) for call in calls.tool_calls] == [
        ("look", {"shelf": 3})
    ]
    assert (calls.text, calls.attempt) == ("", 2)
    assert text.text == LONG
    late = [event async for event in caught_up(aclient, run.id) if event.kind == "output"]
    assert len(late) == 2
    assert [answer.text for answer in assemble(late)] == ["", LONG]  # type: ignore[arg-type]


async def test_events_are_framed_for_the_ai_sdk_and_for_ag_ui(
    desk: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[A13]"""
    async with working(desk):
        run = await aclient.submit("desk", "what is there?")
        live = await frames(ai_sdk(caught_up(aclient, run.id)))
        await run.result(60)
    late = await frames(ai_sdk(caught_up(aclient, run.id)))
    for found in (live, late):
        types = [frame["type"] for frame in found]
        assert types[0] == "start"
        assert types[-1] == "finish"
        assert "tool-input-start" in types
        said = "".join(frame["delta"] for frame in found if frame["type"] == "text-delta")
        assert said == LONG
    assert [frame["type"] for frame in late].count("text-delta") == 1
    events = await frames(ag_ui(caught_up(aclient, run.id), thread_id="t", run_id=run.id))
    assert [event["type"] for event in events] == [
        "RUN_STARTED", "TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END",
        "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED",
    ]  # fmt: skip


async def test_a_cancel_closes_the_connection_and_keeps_what_had_come(
    desk: Stepflow, provider: FakeOpenAI, aclient: AsyncClient, working: Working
) -> None:
    """[A7] The provider sends nothing more; the words so far are a step of the run."""
    provider.reply(Text(LONG, pace_s=0.01))
    async with working(desk):
        run = await aclient.submit("desk", "talk")

        async def has_begun() -> bool:
            items = [item async for item in aclient.output(run.id, live=False)]
            return len(items) > 5

        await until(has_begun)
        await aclient.cancel(run.id)

        async def has_ended() -> bool:
            status = await aclient.status(run.id)
            return status is not None and status.is_finished

        await until(has_ended)
        await asyncio.to_thread(provider.wait_for, lambda: provider.calls[0].is_over)
    assert provider.calls[0].gone_at is not None
    assert provider.calls[0].output < 200
    history = await aclient.history(run.id)
    [kept] = [entry for entry in history["journal"] if entry["name"] == "desk.stopped"]
    assert LONG.startswith(kept["value"]["text"])
    words = len(kept["value"]["text"].split())
    assert words >= 5
    assert kept["value"]["usage"]["output_tokens"] == words


async def test_what_came_of_answers_that_were_cut_or_stopped_counts_in_the_budget(
    app: Stepflow, provider: FakeOpenAI, aclient: AsyncClient, working: Working
) -> None:
    """[A7] [A12] As what they have cost at least; the rest stays reserved as lost."""
    provider.reply(Text(LONG, cut_after=50), Text(LONG, pace_s=0.01))
    client = AsyncOpenAI(base_url=provider.url, api_key="none")
    model = OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=client))
    durable = Durable(stream=True, retry=RetryPolicy(initial=0.01))
    agent = Agent(model, name="desk", capabilities=[durable], model_settings={"max_tokens": 500})
    acme = stepflow.budget("acme", tokens=10_000)

    @app.workflow
    async def talk(ctx: Context) -> str:
        with charging(acme):
            return (await agent.run("hi")).output

    async with working(app):
        run = await aclient.submit(talk)
        await asyncio.to_thread(
            provider.wait_for, lambda: len(provider.calls) > 1 and provider.calls[1].output > 5
        )
        await aclient.cancel(run.id)

        async def are_lost() -> bool:
            status = await aclient.status(run.id)
            spent = (await aclient.budgets.get("acme")).spent
            return status is not None and status.is_finished and spent.lost == 2

        await until(are_lost)
        spent = (await aclient.budgets.get("acme")).spent
    [kept] = [
        entry for entry in (await aclient.history(run.id))["journal"]
        if entry["name"] == "desk.stopped"
    ]  # fmt: skip
    assert spent.least_tokens == 50 + kept["value"]["usage"]["output_tokens"]
    assert spent.least_tokens < sum(provider.billed) < spent.lost_tokens
    await client.close()


async def test_nothing_is_streamed_that_nobody_asked_for(
    app: Stepflow, provider: FakeOpenAI, aclient: AsyncClient, working: Working
) -> None:
    """[A13] Without `stream=True` requests are not streamed, and the run has no output."""
    client = AsyncOpenAI(base_url=provider.url, api_key="none")
    model = OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=client))
    agent = Agent(model, name="quiet", capabilities=[Durable()])
    agent.tool_plain(name="look")(lambda shelf: "seen")

    @app.workflow("quiet")
    async def quiet(ctx: Context) -> str:
        return (await agent.run("hi")).output

    async with working(app):
        run = await aclient.submit("quiet")
        assert await run.result(60) == LONG
        assert [item.kind async for item in aclient.output(run.id)] == ["end"]
    assert not any(call.body.get("stream") for call in provider.calls)
    await client.close()
