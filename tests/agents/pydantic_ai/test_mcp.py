"""MCP servers: what they offer is recorded, and one that is started again is asked again."""

from __future__ import annotations

import threading
from typing import Any, Self

import pytest
import uvicorn
from mcp.server import MCPServer
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from stepflow import Context, Succeed
from stepflow.agents.pydantic_ai import Durable
from stepflow.core.outcomes import Park
from tests.kits.memory import MemoryRuntime, activate, to_the_end
from tests.ports import free_port

pytestmark = pytest.mark.crash


class Library:
    """An MCP server on a port of loopback, in a thread."""

    def __init__(self, port: int, calls: list[str]) -> None:
        self.url = f"http://127.0.0.1:{port}/mcp"
        server = MCPServer("library", instructions="Look things up.")

        @server.tool()
        def look_up(word: str) -> str:
            """Look a word up."""
            calls.append(word)
            return word.upper()

        config = uvicorn.Config(
            server.streamable_http_app(), port=port, log_level="error", ws="none"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    found = [
        part.content
        for message in messages
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    ]
    if len(found) == 2:
        return ModelResponse(parts=[TextPart(" ".join(map(str, found)))])
    word = ("bees", "kites")[len(found)]
    return ModelResponse(parts=[ToolCallPart("look_up", {"word": word})])


async def test_a_server_that_is_started_again_between_two_calls_is_called_on() -> None:
    """[A5] Its tools are listed once, and no call of it is made twice."""
    port, calls = free_port(), list[str]()
    toolset: Any = MCPToolset(f"http://127.0.0.1:{port}/mcp", id="library")
    agent = Agent(FunctionModel(answer), name="desk", toolsets=[toolset], capabilities=[Durable()])

    async def workflow(ctx: Context) -> str:
        async with agent.iter("look it up") as run:
            async for node in run:
                if agent.is_call_tools_node(node):
                    await ctx.sleep(60)
        assert run.result is not None
        return str(run.result.output)

    runtime = MemoryRuntime()
    with Library(port, calls):
        assert isinstance(await activate(runtime, workflow), Park)
        runtime.clock += 60
        assert isinstance(await activate(runtime, workflow), Park)
        assert calls == ["bees"]
    with Library(port, calls):
        assert await to_the_end(runtime, workflow) == Succeed("BEES KITES")
    assert calls == ["bees", "kites"]
    names = [entry.split(b"|")[2] for entry in runtime.journal]
    assert names.count(b"desk.library.tools") >= 1
