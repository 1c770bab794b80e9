"""[A7] A cancel closes the connection to the provider, whoever asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import agents
import pytest
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from stepflow import AsyncClient, Context, Stepflow
from stepflow.agents.openai_agents import run
from stepflow.agents.providers import from_pydantic_ai
from tests.agents.fake_openai import FakeOpenAI, Text
from tests.conftest import Working
from tests.support import until

pytestmark = pytest.mark.crash  # what it imports takes seconds


@pytest.fixture
async def provider() -> AsyncIterator[FakeOpenAI]:
    with FakeOpenAI(Text("word " * 1000, pace_s=0.01, hold=True)) as server:
        yield server


@pytest.fixture
async def openai(provider: FakeOpenAI) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=provider.url, api_key="none") as client:
        yield client


async def loop(openai: AsyncOpenAI, ctx: Context, *, stream: bool) -> Any:
    model = OpenAIChatModel("fake", provider=OpenAIProvider(openai_client=openai))
    return await ctx.tool_loop(from_pydantic_ai(model), [], "talk", stream=stream)


async def runner(openai: AsyncOpenAI, ctx: Context) -> Any:
    del ctx
    model = agents.OpenAIChatCompletionsModel("fake", openai)
    return await run(agents.Agent("a", model=model), "talk")


@pytest.mark.parametrize("ask", [partial(loop, stream=True), partial(loop, stream=False), runner])
async def test_a_cancel_closes_the_connection(
    app: Stepflow, provider: FakeOpenAI, openai: AsyncOpenAI, aclient: AsyncClient,
    working: Working, ask: Any,
) -> None:  # fmt: skip
    @app.workflow("asks")
    async def asks(ctx: Context) -> None:
        await ask(openai, ctx)

    async with working(app):
        handle = await aclient.submit("asks")
        await asyncio.to_thread(provider.wait_for, lambda: provider.calls)
        await aclient.cancel(handle.id)
        await asyncio.to_thread(provider.wait_for, lambda: provider.calls[0].is_over)

        async def is_cancelled() -> bool:
            status = await aclient.status(handle.id)
            return status is not None and status.state == "cancelled"

        await until(is_cancelled)
    assert provider.calls[0].gone_at is not None
    assert len(provider.calls) == 1
