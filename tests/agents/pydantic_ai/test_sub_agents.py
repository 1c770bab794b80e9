"""Agents that call agents: in the run, and as children of it."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from stepflow import ClaimLost, Context, Stepflow, Succeed, current
from stepflow.agents.pydantic_ai import Durable
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, to_the_end

pytestmark = pytest.mark.crash

TOPICS = ("bees", "kites", "tides")


class Desk:
    """An editor who has three researchers look at once; counts what each model and tool did."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.editor = Agent(FunctionModel(self.edit), name="editor", capabilities=[Durable()])
        self.researcher = Agent(
            FunctionModel(self.research), name="researcher", capabilities=[Durable()]
        )
        self.editor.tool_plain(self.ask, metadata={"stepflow": False})
        self.researcher.tool_plain(self.search)

    def edit(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        self.calls["edit"] += 1
        found = [part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        if found:
            return ModelResponse(parts=[TextPart("; ".join(map(str, found)))])
        return ModelResponse(
            parts=[ToolCallPart("ask", {"topic": topic}, tool_call_id=topic) for topic in TOPICS]
        )

    def research(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        topic = str(messages[0].parts[0].content)
        self.calls[f"research {topic}"] += 1
        found = [part.content for part in messages[-1].parts if isinstance(part, ToolReturnPart)]
        if found:
            return ModelResponse(parts=[TextPart(f"{topic}: {found[0]}")])
        return ModelResponse(parts=[ToolCallPart("search", {"word": topic}, tool_call_id="s")])

    async def ask(self, topic: str) -> str:
        """Ask a researcher."""
        return (await self.researcher.run(topic)).output

    async def search(self, word: str) -> str:
        """Search for a word."""
        self.calls[f"search {word}"] += 1
        await asyncio.sleep(0)
        return word.upper()

    async def run(self, ctx: Context) -> str:
        """Edit, and sleep, so that all is replayed."""
        output = (await self.editor.run("write")).output
        await ctx.sleep(60)
        return output


EXPECTED = Succeed("bees: BEES; kites: KITES; tides: TIDES")


async def test_a_crash_at_every_write_repeats_no_finished_call_of_any_agent() -> None:
    """[A5] Three at once, in the run: each of their calls is a step of it."""
    desk, runtime = Desk(), MemoryRuntime()
    assert await to_the_end(runtime, desk.run) == EXPECTED
    units = sum(desk.calls.values())
    assert set(desk.calls.values()) == {1, 2}  # each model is asked twice
    for crash_after in range(1, units + 1):
        desk, runtime = Desk(), MemoryRuntime()
        runtime.crash_after = crash_after
        with pytest.raises(ClaimLost):
            await to_the_end(runtime, desk.run)
        before = sum(desk.calls.values())
        runtime.crash_after = None
        assert await to_the_end(runtime, desk.run) == EXPECTED, crash_after
        assert sum(desk.calls.values()) == before + units - crash_after


async def test_an_agent_is_called_as_a_child_of_the_run() -> None:
    """[A5] The crash has each call repeated at most that was under way, in whichever child."""
    app, desk = Stepflow(), Desk()
    app.agent("researcher", desk.researcher)

    @app.workflow("editor")
    async def editor(ctx: Context) -> str:
        return "; ".join(await ctx.map("researcher", TOPICS))

    async with Harness(app) as h:
        h.crash_after("researcher.search")
        run = await h.submit("editor")
        assert await h.result(run) == EXPECTED.result
    assert max(count for name, count in desk.calls.items() if name.startswith("search ")) <= 2
    assert max(count for name, count in desk.calls.items() if name.startswith("research ")) <= 3


async def test_two_runs_of_one_agent_at_once_keep_their_calls_apart() -> None:
    """[A5] In whatever order their calls end."""
    desk, runtime = Desk(), MemoryRuntime()

    async def both(ctx: Context) -> list[str]:
        assert current() is not None
        first = await asyncio.gather(*(desk.researcher.run(topic) for topic in TOPICS))
        await ctx.sleep(60)
        again = await desk.researcher.run("bees")
        return [result.output for result in (*first, again)]

    ended = await to_the_end(runtime, both)
    assert ended == Succeed(["bees: BEES", "kites: KITES", "tides: TIDES", "bees: BEES"])
    assert desk.calls["research bees"] == 4
    assert desk.calls["research kites"] == 2
