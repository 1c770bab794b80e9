"""[A15] `h.mock_model`, for providers and for agents of pydantic-ai, also through a crash."""

from __future__ import annotations

import pytest

from stepflow import Context, RunFailed, Stepflow
from stepflow.agents.providers import ProviderRejected
from stepflow.agents.testing import cassette
from stepflow.agents.tools import tool
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.agents.scripted import InTurn

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds


@pytest.fixture
def app():
    return Stepflow("redis://nowhere", settings=Settings())


@tool(read_only=True)
async def double(value: int) -> int:
    return 2 * value


async def test_a_provider_answers_as_the_test_says_and_others_as_they_do(app):
    real, other = InTurn(["real"], "real"), InTurn(["other"], "other")

    @app.workflow
    async def agent(ctx: Context) -> list[str]:
        first = await ctx.tool_loop(real, [double], "go")
        return [first.text, (await ctx.tool_loop(other, [], "go")).text]

    async with Harness(app) as h:
        mock = h.mock_model(real, [[("double", {"value": 4})], "eight"])
        h.crash_after("double")
        assert await h.result(await h.submit(agent)) == ["eight", "other"]
        assert [each.text for each in mock.requests[-1].messages][-1] == "8"
        assert real.requests == []
        h.mock_model(real, [ProviderRejected("real", "no")])
        with pytest.raises(RunFailed, match="refused the request: no"):
            await h.result(await h.submit(agent))
        h.mock_model(other, lambda request: request.messages[-1].text)
        h.mock_model(real, ["again"])
        assert await h.result(await h.submit(agent)) == ["again", "go"]


@pytest.mark.crash  # what it imports takes longer than it does
async def test_an_agent_of_pydantic_ai_answers_as_the_test_or_a_cassette_says(app, tmp_path):
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    from stepflow.agents.pydantic_ai import Durable

    def made(name, model):
        agent = Agent(model, name=name, capabilities=[Durable()])
        agent.tool_plain(double)
        return app.agent(name, agent)

    path, model = tmp_path / "answers.jsonl", TestModel()
    agent = made("doubler", model)
    made("recording", cassette(path, record=model).model())
    async with Harness(app) as h:
        mock = h.mock_model(agent, [[("double", {"value": 4})], "eight"])
        h.crash_after("doubler.double")
        assert await h.result(await h.submit("doubler", "four?")) == "eight"
        assert len(mock.requests) == 2
    assert agent.model is model
    async with Harness(app) as h:
        recorded = await h.result(await h.submit("recording", "four?"))
        assert await h.result(await h.submit("doubler", "four?")) == recorded
    made("played", cassette(path).model())
    async with Harness(app) as h:
        assert await h.result(await h.submit("played", "four?")) == recorded
        with pytest.raises(RunFailed, match=r"(?s)has no answer.*\+.*five"):
            await h.result(await h.submit("played", "five?"))
