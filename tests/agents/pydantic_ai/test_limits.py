"""[A2] [A10] Limits of an agent's model requests, against a server that says 429."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI
from pydantic_ai import Agent, capabilities
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from stepflow import Context, InvalidOption, Limit, RetryPolicy, Stepflow
from stepflow.agents.pydantic_ai import Durable
from stepflow.testing import Harness
from tests.agents.fake_openai import FakeOpenAI, Text, TooMany
from tests.agents.pydantic_ai.versions import needs_fallback

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds

REQUESTS = Limit("requests", concurrency=10, max_wait=5)
TOKENS = Limit("tokens", rate="1/s", burst=10)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenAI]:
    with FakeOpenAI(TooMany(retry_after_s=3), Text("one two three four")) as server:
        yield server


@pytest.fixture
async def model(server: FakeOpenAI) -> AsyncIterator[OpenAIChatModel]:
    async with AsyncOpenAI(base_url=server.url, api_key="none") as client:
        yield OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=client))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_429_closes_the_limit_for_all_runs_and_tokens_count_as_they_were_used(
    server: FakeOpenAI, model: OpenAIChatModel, stream: bool
) -> None:
    """Each asks for ten tokens and uses five: the third waits for the rest."""
    app = Stepflow()
    durable = Durable(
        model={"limit": [REQUESTS, TOKENS.of(units=10)]}, stream=stream,
        retry=RetryPolicy(max_attempts=2),
    )  # fmt: skip
    app.agent("desk", Agent(model, name="desk", capabilities=[durable]))
    async with Harness(app) as h:
        runs = [await h.submit("desk", "hello") for _ in range(3)]
        await h.advance(2.9)
        assert len(server.calls) == 1
        await h.advance(0.2)
        assert len(server.calls) == 2
        await h.advance(5)
        assert len(server.calls) == 3
        await h.advance(5)
        assert [await h.result(run) for run in runs] == ["one two three four"] * 3
    assert len(server.calls) == 4


@needs_fallback
async def test_a_request_that_may_not_wait_as_long_goes_to_the_fallback(
    server: FakeOpenAI, model: OpenAIChatModel
) -> None:
    """[A3] As one does whose time is up."""
    server.reply(TooMany(retry_after_s=20), Text("late"))
    app = Stepflow()
    with FakeOpenAI(Text("from the second")) as second:
        client = AsyncOpenAI(base_url=second.url, api_key="none")
        spare = OpenAIChatModel("spare", provider=OpenAIProvider(openai_client=client))
        durable = Durable(model={"limit": {"fake": REQUESTS}}, models={"spare": spare})
        agent = Agent(model, name="desk", capabilities=[capabilities.ModelFallback(spare), durable])
        app.agent("desk", agent)
        async with Harness(app) as h:
            first, other = await h.submit("desk", "hello"), await h.submit("desk", "hello")
            await h.advance(30)
            assert await h.result(first) == "late"
            assert await h.result(other) == "from the second"
        await client.close()


async def test_a_provider_that_always_says_429_is_asked_as_often_as_the_policy_says(
    server: FakeOpenAI, model: OpenAIChatModel
) -> None:
    """[A3] Also where a limit rests meanwhile; the workflow catches the provider's error."""
    server.reply(TooMany(retry_after_s=3))
    app = Stepflow()
    durable = Durable(model={"limit": REQUESTS}, retry=RetryPolicy(max_attempts=3))
    agent = Agent(model, name="desk", capabilities=[durable])

    @app.workflow
    async def desk(ctx: Context) -> int:
        try:
            await agent.run("hello")
        except ModelHTTPError as error:
            await ctx.sleep(1)
            return error.status_code
        return 0

    async with Harness(app) as h:
        run = await h.submit(desk)
        await h.advance(60)
        assert await h.result(run) == 429
    assert len(server.calls) == 3


def test_what_is_no_limit_is_refused() -> None:
    with pytest.raises(InvalidOption, match=r"limit of model= of Durable is 'requests'"):
        Durable(model={"limit": "requests"})
