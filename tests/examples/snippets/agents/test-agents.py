"""What the reader of docs/how-to/agents/test-agents.md has at hand."""

from pathlib import Path

from stepflow import Context, Stepflow
from stepflow.agents.providers import Completion, CompletionRequest
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


async def check(h, space):
    await space["test_support"]()
    assert not Path("answers.jsonl").exists()


__all__ = ["Harness"]
