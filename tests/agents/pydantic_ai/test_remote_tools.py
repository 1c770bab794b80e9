"""Tools that another queue's workers call, and tools under a limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic_ai import Agent, ModelRetry, RunContext
from pydantic_ai.models.test import TestModel

from stepflow import InvalidOption, Limit, RunState, Stepflow, Succeed
from stepflow.agents.pydantic_ai import Durable
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, to_the_end

pytestmark = pytest.mark.crash


async def look() -> str:
    """Look."""
    return "seen"


PLOTTER = Limit("plotter", concurrency=1)


@dataclass
class Tenant:
    name: str


def drawing(**own: Any) -> tuple[Stepflow, Agent[Tenant, str], list[Any]]:
    """Make an app whose agent draws by a tool with options of its *own*."""
    app, calls = Stepflow(), list[Any]()
    app.job(name="plot", limits=[PLOTTER])(look)
    agent = Agent(TestModel(), name="art", deps_type=Tenant, capabilities=[Durable()])

    @agent.tool(metadata={"stepflow": own}, retries=2)
    async def draw(run: RunContext[Tenant], width: int) -> str:
        calls.append((run.deps, run.tool_name, type(width)))
        if len(calls) == 1:
            raise ModelRetry("wider")
        return f"{run.deps.name} {width}"

    app.agent("art", agent, deps=lambda ctx: Tenant(ctx.headers["tenant"]))
    return app, agent, calls


@pytest.mark.parametrize(
    "own", [{"queue": "gpu"}, {"limit": PLOTTER}, {"queue": "gpu", "limit": "plotter"}]
)
async def test_a_tool_is_called_as_a_run_of_its_own(own: Any) -> None:
    """[A1] With its dependencies and what it may know of the run; ModelRetry keeps its meaning."""
    app, _, calls = drawing(**own)
    async with Harness(app) as h:
        run = await h.submit("art", "a kite", headers={"tenant": "acme"})
        assert await h.result(run) == '{"draw":"acme 0"}'
        [*children] = [found for found in await h.client.list() if found.runner == "step:art.draw"]
        assert [found.state for found in children] == [RunState.SUCCEEDED] * 2
        assert {found.queue for found in children} == {own.get("queue", "default")}
    assert calls == [(Tenant("acme"), "draw", int)] * 2


async def test_a_tool_of_an_agent_that_no_app_knows_is_told_what_to_do() -> None:
    """[A1]"""
    agent = Agent(TestModel(), name="art", capabilities=[Durable()])
    agent.tool_plain(metadata={"stepflow": {"queue": "gpu"}})(look)

    async def workflow(ctx: Any) -> None:
        with pytest.raises(InvalidOption, match=r"app.agent\(name, agent\)"):
            await agent.run("hi")

    assert await to_the_end(MemoryRuntime(), workflow) == Succeed(None)
