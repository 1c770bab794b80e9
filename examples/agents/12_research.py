"""
Research by sub-agents: a lead splits the question, three researchers work side by side.

    python examples/agents/12_research.py    # its model is a script: put a real one in its place

Each call is a step of one run: a crash repeats those in progress. One budget counts all, once.
"""

import asyncio

from stepflow import Context, Stepflow
from stepflow.agents.budgets import charging
from stepflow.agents.providers import Completion, CompletionRequest, ToolCall, Usage
from stepflow.agents.tools import tool
from stepflow.testing import Harness

app = Stepflow()
LIBRARY = {"moon": "it pulls the sea", "sun": "it pulls less", "wind": "it makes waves"}


class Model:
    name = "script"

    async def complete(self, request: CompletionRequest) -> Completion:
        used, wants = Usage(10, 5, 0, 1), request.tools[0]
        if found := [each.text for each in request.messages if each.role == "tool"]:
            return Completion("; ".join(found), usage=used)
        topics = LIBRARY if wants.name == "research" else [request.messages[-1].text]
        calls = tuple(ToolCall(each, wants.name, f'{{"topic": "{each}"}}') for each in topics)
        return Completion(tool_calls=calls, finish="tools", usage=used)


@tool(read_only=True)
async def search(topic: str) -> str:
    """Search the library."""
    return f"{topic}: {LIBRARY[topic]}"


@app.workflow
async def report(ctx: Context, question: str) -> str:
    @tool(read_only=True, in_workflow=True)
    async def research(topic: str) -> str:
        """Have a researcher find out about one topic."""
        return (await ctx.tool_loop(Model(), [search], topic, max_tokens=99)).text

    with charging(ctx.budget("report", tokens=20_000)):
        return (await ctx.tool_loop(Model(), [research], question, max_tokens=99)).text


async def main() -> None:
    async with Harness(app) as h:
        h.crash_after("search")
        print(await h.result(await h.submit(report, "Why are there tides?")))
        [budget] = await h.client.budgets.list()
        print(budget.spent.calls, "calls of models,", budget.spent.settled_tokens, "tokens")


if __name__ == "__main__":
    asyncio.run(main())
