"""An agent of three rounds with four tools side by side, and what came of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from stepflow import ClaimLost, Context
from stepflow.agents.pydantic_ai import Durable

#: rounds with tool calls before the answer, and tools side by side in each
ROUNDS, TOOLS = 2, 4
#: model requests and tool calls of one run
UNITS = ROUNDS * (TOOLS + 1) + 1


class Shop:
    """
    Counts what was begun and what was finished, by unit.

    The worker dies inside the unit *dies_in*, the first time.
    """

    def __init__(self, dies_in: str = "", *, has_tools: bool = True) -> None:
        self.begun: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.dies_in = dies_in
        self.agent = Agent(FunctionModel(self._answer), name="shop", capabilities=[Durable()])
        if has_tools:
            self.agent.tool_plain(self.look)

    def _answer(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        rounds = sum(isinstance(message, ModelResponse) for message in messages)
        with self._unit(f"model {rounds}"):
            if rounds == ROUNDS:
                return ModelResponse(parts=[TextPart("done")])
            return ModelResponse(
                parts=[
                    ToolCallPart("look", {"shelf": 10 * rounds + n}, tool_call_id=f"call-{n}")
                    for n in range(TOOLS)
                ]
            )

    async def look(self, shelf: int) -> str:
        """Look at a shelf."""
        with self._unit(f"look {shelf}"):
            return f"saw {shelf}"

    def _unit(self, name: str) -> Unit:
        return Unit(self, name)

    async def run(self, ctx: Context) -> list[Any]:
        """Give the output, the messages without their times, and what it has cost."""
        result = await self.agent.run("what is there?")
        await ctx.sleep(60)
        messages = ModelMessagesTypeAdapter.dump_python(result.all_messages(), mode="json")
        return [result.output, without_times(messages), repr(result.usage)]


class Unit:
    """One call of the model or a tool."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop, self.name = shop, name

    def __enter__(self) -> None:
        self.shop.begun[self.name] += 1
        if self.name == self.shop.dies_in and self.shop.begun[self.name] == 1:
            raise ClaimLost("the worker is gone")

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.shop.finished[self.name] += 1


def without_times(found: Any) -> Any:
    """Leave out when messages were made: the requests' are made anew by each activation."""
    if isinstance(found, list):
        return [without_times(each) for each in found]
    if isinstance(found, dict):
        return {name: without_times(each) for name, each in found.items() if name != "timestamp"}
    return found
