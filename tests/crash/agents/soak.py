"""
All kinds of agents in one app, for a worker that is to carry them out for long.

PROVIDER is the URL of what stands for a provider of models.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from stepflow import Context
from stepflow.agents.chat import KeepLast
from stepflow.agents.pydantic_ai import Durable
from stepflow.kits.flow.replay.activation import Activation
from tests.crash.agents.app import agent as clerk
from tests.crash.support.app import QUICK, app


async def say(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
    """Say twenty words, slowly."""
    for n in range(20):
        await asyncio.sleep(0.005)
        yield f"{n} "


async def pay(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Want to pay, once for all; then be done."""
    if len(messages) > 1:
        return ModelResponse(parts=[TextPart("paid")])
    return ModelResponse(parts=[ToolCallPart("refund", {"amount": 5}, tool_call_id="pay")])


talker = Agent(
    FunctionModel(stream_function=say), name="talker", capabilities=[Durable(stream=True)]
)
cashier = Agent(FunctionModel(pay), name="cashier", capabilities=[Durable(retry=QUICK)])
provider = OpenAIProvider(
    openai_client=AsyncOpenAI(base_url=os.environ.get("PROVIDER"), api_key="none")
)
caller = Agent(
    OpenAIChatModel("fake", provider=provider), name="caller", capabilities=[Durable(stream=True)]
)


@cashier.tool_plain(requires_approval=True)
async def refund(amount: int) -> str:
    return f"refunded {amount}"


app.agent("talker", talker)
app.agent("cashier", cashier)
app.agent("caller", caller)
app.chat("chat", talker, compact=KeepLast(6))


@app.workflow("team")
async def team(ctx: Context, size: int) -> list[str]:
    """Have several agents work side by side, and children besides."""
    runs = await asyncio.gather(*(clerk.run("go") for _ in range(size)))
    return [run.output for run in runs] + await ctx.map("talker", ["a", "b"])


async def _count() -> dict[str, int]:
    gc.collect()
    return {
        "pid": os.getpid(),
        "tasks": len(asyncio.all_tasks()),
        "activations": sum(type(each) is Activation for each in gc.get_objects()),
    }


@app.workflow("census")
async def census(ctx: Context) -> Any:
    """Count what lives in the worker."""
    return await ctx.step(_count)
