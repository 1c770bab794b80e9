"""
Research by sub-agents: a lead splits the question, three researchers work side by side.

    python examples/agents/12_research.py    # its model is a script: put a real one in its place

Each call of a model or a tool is a step of one run. A crash repeats those in progress, no other.
"""

import asyncio

from stepflow import Context, Stepflow, current
from stepflow.agents.providers import Completion, CompletionRequest, ToolCall, Usage
from stepflow.agents.tools import tool
from stepflow.testing import Harness

app = Stepflow()
LIBRARY = {"moon": "it pulls the sea", "sun": "it pulls less", "wind": "it makes waves"}


class Model:
    name = "script"

    async def complete(self, request: CompletionRequest) -> Completion:
        used, found = Usage(10, 5, 0, 1), [m.text for m in request.messages if m.role == "tool"]
        if found:
            return Completion("; ".join(found), usage=used)
        [wants] = request.tools
        topics = LIBRARY if wants.name == "research" else [request.messages[-1].text]
        calls = [ToolCall(t, wants.name, f'{{"topic": "{t}"}}') for t in topics]
        return Completion(tool_calls=tuple(calls), finish="tools", usage=used)


@tool(read_only=True)
async def search(topic: str) -> str:
    """Search the library."""
    return f"{topic}: {LIBRARY[topic]}"


@tool(read_only=True, in_workflow=True)
async def research(topic: str) -> str:
    """Have a researcher find out about one topic."""
    ctx = current()
    assert isinstance(ctx, Context)  # it runs in the workflow
    return (await ctx.tool_loop(Model(), [search], topic, max_rounds=5)).text


@app.workflow
async def report(ctx: Context, question: str) -> str:
    return (await ctx.tool_loop(Model(), [research], question, concurrency=3)).text


async def main() -> None:
    async with Harness(app) as h:
        h.crash_after("search")
        print(await h.result(await h.submit(report, "Why are there tides?")))
        print(h.called.count("model"), "model calls and", h.called.count("search"), "searches")


if __name__ == "__main__":
    asyncio.run(main())
