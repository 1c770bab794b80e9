"""The agent under attack: three rounds of the model, four tools side by side in two of them."""

from __future__ import annotations

import asyncio

from pydantic_ai import Agent, RunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from stepflow import current_step
from stepflow.agents.pydantic_ai import Durable
from tests.crash.support.app import QUICK, app
from tests.crash.support.flow import saw

ROUNDS, TOOLS = 2, 4
UNITS = ROUNDS * (TOOLS + 1) + 1


async def unit(name: str) -> None:
    """Say which unit of which run begins, take a moment, and say that it is over."""
    step = current_step()
    assert step is not None
    saw(step.run_id, name)
    await asyncio.sleep(0.01)
    saw(step.run_id, f"{name} is over")


async def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    rounds = sum(isinstance(message, ModelResponse) for message in messages)
    await unit(f"model-{rounds}")
    if rounds == ROUNDS:
        return ModelResponse(parts=[TextPart("done")])
    calls = [
        ToolCallPart("look", {"shelf": f"{rounds}-{n}"}, tool_call_id=f"call-{n}")
        for n in range(TOOLS)
    ]
    return ModelResponse(parts=calls)


agent = Agent(
    FunctionModel(answer), name="clerk", capabilities=[Durable(retry=QUICK)], deps_type=str
)


@agent.tool
async def look(run: RunContext[str], shelf: str) -> str:
    await unit(f"look-{shelf}")
    return f"saw {shelf}"


app.agent("clerk", agent)
