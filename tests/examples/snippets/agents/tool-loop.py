"""What the reader of docs/how-to/agents/tool-loop.md has at hand."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

import stepflow
from stepflow import Context, Limit, Stepflow
from stepflow.agents.providers import Completion, CompletionRequest, Message, ToolCall

app = Stepflow()


@dataclass
class Order:
    id: str
    paid: int


ORDERS = {"A-17": Order("A-17", 30)}


class Model:
    name = "scripted"

    async def complete(self, request: CompletionRequest) -> Completion:
        wanted = [
            ToolCall("1", "find_order", '{"order_id": "A-17"}'),
            ToolCall("2", "refund", '{"order_id": "A-17", "amount": 30}'),
        ]
        if request.tools and len(request.messages) < 4:
            return Completion(tool_calls=tuple(wanted[len(request.messages) // 4 :]))
        return Completion(request.messages[-1].text)


model = Model()


async def pay_back(order_id: str, amount: int, key: str) -> str:
    return f"{amount} EUR are on their way"


async def take_back(receipt: str) -> None: ...


async def search(query: str) -> str:
    return query


async def check(h, space):
    run = await h.submit("support", "the kite is broken")
    [question] = await h.client.questions()
    assert question.prompt == "Refund 30 EUR for A-17?"
    await h.client.answer(question.token, True)
    assert await h.result(run) == "30 EUR are on their way"


__all__ = ["Annotated", "Context", "Field", "Limit", "Message", "stepflow"]
