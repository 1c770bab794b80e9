"""An agent that talks: each attempt says other words, so the run's result says which count."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from stepflow import Context
from stepflow.agents.pydantic_ai import Durable
from tests.crash.support.app import QUICK, app

WORDS = 60


async def talk(
    messages: list[ModelMessage], info: AgentInfo
) -> AsyncIterator[str | DeltaToolCalls]:
    """Want a tool in the first round; then say words, none of which another attempt says."""
    own = secrets.token_hex(4)
    if len(messages) == 1:
        yield {0: DeltaToolCall("look", f'{{"shelf":"{own}"}}', tool_call_id=own)}
        return
    for n in range(WORDS):
        await asyncio.sleep(0.01)
        yield f"{own}.{n} "


narrator = Agent(
    FunctionModel(stream_function=talk),
    name="narrator",
    capabilities=[Durable(stream=True, retry=QUICK)],
)


@narrator.tool_plain
async def look(shelf: str) -> str:
    return f"saw {shelf}"


@app.workflow("narrate", retry=QUICK)
async def narrate(ctx: Context, turns: int) -> list[str]:
    """Have it talk so often, then twice at once; give what counts of all that it said."""
    runs = [await narrator.run("go") for _ in range(turns)]
    runs += await asyncio.gather(*(narrator.run("go") for _ in range(2)))
    return sorted(
        part.content if isinstance(part, TextPart) else part.args_as_json_str()
        for run in runs
        for message in run.all_messages()
        if isinstance(message, ModelResponse)
        for part in message.parts
        if isinstance(part, TextPart | ToolCallPart)
    )
