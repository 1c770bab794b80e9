"""`app.agent`: a workflow in one line; and what an agent does outside of workflows."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, RunContext
from pydantic_ai.models.test import TestModel

from stepflow import Context, InvalidOption, RetryPolicy, Stepflow, Succeed
from stepflow.agents.pydantic_ai import Durable
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate, to_the_end

pytestmark = pytest.mark.crash  # importing pydantic-ai takes seconds


class Weather(BaseModel):
    place: str
    degrees: int = 7


async def test_an_agent_is_a_workflow_in_one_line() -> None:
    """[A1] Its input is the prompt, its result the output, as its type."""
    app = Stepflow()
    agent = Agent(TestModel(), name="weather", output_type=Weather, capabilities=[Durable()])
    assert app.agent("weather", agent) is agent
    async with Harness(app) as h:
        run = await h.submit("weather", "How is it in Berlin?")
        assert (await h.result(run))["place"] == "a"
        assert h.called == ["weather.model"]


async def test_dependencies_are_made_from_the_context() -> None:
    """[A1]"""
    app = Stepflow()
    agent = Agent(TestModel(), deps_type=str, name="who", capabilities=[Durable()])

    @agent.tool
    async def tenant(run: RunContext[str]) -> str:
        return run.deps

    app.agent("who", agent, deps=lambda ctx: ctx.headers["tenant"])
    async with Harness(app) as h:
        run = await h.submit("who", "hi", headers={"tenant": "acme"})
        assert await h.result(run) == '{"tenant":"acme"}'


@pytest.mark.parametrize("agent", [Agent(TestModel(), name="plain"), "no agent", None])
def test_what_is_no_durable_agent_is_refused_with_what_to_write(agent: object) -> None:
    """[A1]"""
    with pytest.raises(InvalidOption, match=r"app.agent\('plain'\)"):
        Stepflow().agent("plain", agent)


async def test_outside_of_workflows_and_in_steps_the_agent_runs_as_without_it() -> None:
    """[A1]"""
    agent = Agent(TestModel(), name="plain", capabilities=[Durable(retry=RetryPolicy())])
    assert (await agent.run("hi")).output == "success (no tool calls)"

    async def whole() -> str:
        return (await agent.run("hi")).output

    async def workflow(ctx: Context) -> str:
        return await ctx.step("whole", whole)

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed("success (no tool calls)")
    assert len(runtime.journal) == 1


async def test_the_options_of_a_tool_are_in_its_metadata() -> None:
    """[A1] A policy of its own; False calls it in the workflow, where it may use `current()`."""
    from stepflow import current

    agent = Agent(TestModel(), name="desk", capabilities=[Durable()])
    tries: list[str] = []

    @agent.tool_plain(metadata={"stepflow": {"retry": RetryPolicy(max_attempts=2, initial=0)}})
    async def flaky() -> str:
        tries.append("flaky")
        if len(tries) == 1:
            raise OSError
        return "at last"

    @agent.tool_plain(metadata={"stepflow": False})
    async def wait() -> str:
        ctx = current()
        assert isinstance(ctx, Context)
        await ctx.sleep(60)
        return "waited"

    async def workflow(ctx: Context) -> str:
        return (await agent.run("hi")).output

    runtime = MemoryRuntime()
    assert await to_the_end(runtime, workflow) == Succeed('{"flaky":"at last","wait":"waited"}')
    names = {entry.split(b"|")[2] for entry in runtime.journal}
    assert names == {b"desk.model", b"desk.flaky", b"sleep"}
    assert tries == ["flaky", "flaky"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timout": 3}, "did you mean 'timeout'"),
        ("fast", "write a dict"),
        ({"retry": 3}, "RetryPolicy"),
    ],
)
async def test_options_that_cannot_be_are_told_with_the_tool(options: object, problem: str) -> None:
    """[A1]"""
    agent = Agent(TestModel(), name="desk", capabilities=[Durable()])
    agent.tool_plain(metadata={"stepflow": options})(look)

    async def workflow(ctx: Context) -> None:
        with pytest.raises(InvalidOption, match=problem):
            await agent.run("hi")

    assert await activate(MemoryRuntime(), workflow) == Succeed(None)


async def look() -> str:
    """Look."""
    return "seen"


async def test_a_tool_that_was_done_is_undone_when_the_run_fails() -> None:
    """[A1] *compensate* gets what the tool returned."""
    undone: list[str] = []
    agent = Agent(TestModel(), name="desk", capabilities=[Durable()])

    async def undo(value: str) -> None:
        undone.append(value)

    agent.tool_plain(metadata={"stepflow": {"compensate": undo}})(look)

    async def workflow(ctx: Context) -> None:
        await agent.run("hi")
        raise ValueError("no")

    await to_the_end(MemoryRuntime(), workflow)
    assert undone == ["seen"]
