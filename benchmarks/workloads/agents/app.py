"""The agents of the workload `agents`; PROVIDER is the URL of what stands for a provider."""

from __future__ import annotations

import os
from time import perf_counter

from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from stepflow import Context, Stepflow
from stepflow.agents.chat import KeepLast
from stepflow.agents.pydantic_ai import Durable

app = Stepflow()
#: rounds of the model in a run of many units, each with one call of a tool
ROUNDS = 20

_provider = OpenAIProvider(
    openai_client=AsyncOpenAI(base_url=os.environ.get("PROVIDER"), api_key="none")
)
app.agent(
    "talk",
    Agent(
        OpenAIChatModel("fake", provider=_provider),
        name="talk",
        capabilities=[Durable(stream=True)],
    ),
)


async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Ask for a tool in each round, then be done."""
    rounds = sum(isinstance(message, ModelResponse) for message in messages)
    if rounds == ROUNDS:
        return ModelResponse(parts=[TextPart("done")])
    return ModelResponse(parts=[ToolCallPart("look", {}, tool_call_id=f"call-{rounds}")])


async def look() -> str:
    """Look."""
    return "nothing"


def _clerk(*capabilities: Durable) -> Agent:
    agent = Agent(FunctionModel(answer), name="clerk", capabilities=capabilities)
    agent.tool_plain(look)
    return agent


_durable, _plain = _clerk(Durable()), _clerk()
app.agent("durable", _durable)


async def _run_plain() -> float:
    began = perf_counter()
    await _plain.run("go")
    return (perf_counter() - began) * 1e3


async def echo(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """Say again what was said."""
    return ModelResponse(parts=[TextPart(f"re: {messages[-1].parts[-1].content}")])


app.chat(
    "chat",
    Agent(FunctionModel(echo), name="echo", capabilities=[Durable()]),
    compact=KeepLast(20),
)


@app.workflow("plain")
async def plain(ctx: Context) -> float:
    """Run the agent without durability, in one step; gives how many ms it took."""
    return await ctx.step(_run_plain)
