"""What the reader of docs/how-to/agents/test-agents.md has at hand."""

from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

from stepflow import Context, Stepflow
from stepflow.agents.providers import Completion, CompletionRequest
from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.tools import tool
from stepflow.testing import Harness

app = Stepflow()


class Model:
    name = "scripted"

    async def complete(self, request: CompletionRequest) -> Completion:
        return Completion("from the model")


model = Model()


@tool(read_only=True)
async def find_order(order_id: str) -> str:
    return f"{order_id} was sent"


@app.workflow("support")
async def support(ctx: Context, question: str) -> str:
    return (await ctx.tool_loop(model, [find_order], question)).text


agent = Agent(TestModel(), name="refunds", capabilities=[Durable()])


@agent.tool_plain(requires_approval=True)
async def refund(amount: int) -> str:
    return f"refunded {amount} euros"


app.agent("refunds", agent)


async def check(h, space):
    await space["test_support"]()
    await space["test_a_refund_asks_somebody"]()
    assert not Path("answers.jsonl").exists()


__all__ = ["Harness"]
