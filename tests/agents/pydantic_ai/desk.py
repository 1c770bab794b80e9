"""An agent that refunds money, after somebody has allowed it."""

from __future__ import annotations

from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from stepflow import Context, Stepflow
from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.pydantic_ai.asking import ToolQuestion


def calling(*calls: ToolCallPart) -> FunctionModel:
    """Make a model that asks for *calls*, and then says what came of them."""

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        returns = [
            f"{part.tool_name} {part.tool_call_id}: {part.content}"
            for message in messages
            for part in message.parts
            if isinstance(part, ToolReturnPart)
        ]
        return ModelResponse(parts=[TextPart("; ".join(returns))] if returns else [*calls])

    return FunctionModel(answer)


def refund(amount: int, call_id: str) -> ToolCallPart:
    return ToolCallPart("refund", {"amount": amount}, tool_call_id=call_id)


class Desk:
    """An app whose agent refunds after an approval; notes what was refunded and who was told."""

    def __init__(self, *calls: ToolCallPart, **options: Any) -> None:
        self.refunded: list[int] = []
        self.told: list[ToolQuestion] = []
        self.app = Stepflow()
        self.agent = Agent(
            calling(*calls), name="desk", capabilities=[Durable(notify=self.tell, **options)]
        )
        metadata = {"stepflow": {"ask": "Refund {amount} euros?"}}
        self.agent.tool_plain(self.refund, requires_approval=True, metadata=metadata)
        self.app.workflow("desk")(self.desk)

    async def tell(self, question: ToolQuestion) -> None:
        self.told.append(question)

    async def refund(self, amount: int) -> str:
        self.refunded.append(amount)
        return f"refunded {amount}"

    async def desk(self, ctx: Context, prompt: str) -> str:
        return (await self.agent.run(prompt)).output
