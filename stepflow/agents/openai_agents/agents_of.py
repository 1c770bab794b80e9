"""Copies of agents whose calls are steps, with those that they hand off to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from agents import (
    Agent,
    CodeInterpreterTool,
    FileSearchTool,
    FunctionTool,
    Handoff,
    HostedMCPTool,
    ImageGenerationTool,
    Model,
    Tool,
    WebSearchTool,
)

from stepflow.agents.openai_agents.units import (
    StepModel,
    Units,
    step_input_guardrail,
    step_output_guardrail,
    step_tool,
)
from stepflow.errors import InvalidOption

A = TypeVar("A", bound=Agent[Any])

#: what the provider does by itself, within a call of the model
_HOSTED = (
    CodeInterpreterTool, FileSearchTool, HostedMCPTool, ImageGenerationTool, WebSearchTool,
)  # fmt: skip


class StepAgents:
    """Makes one copy of each agent, also where they hand off to each other in a circle."""

    def __init__(self, units: Units) -> None:
        self.units = units
        #: by the id of the agent, which its copy keeps alive; and the copies themselves
        self._made: dict[int, tuple[Agent[Any], Agent[Any]]] = {}

    def of(self, agent: A) -> A:
        """Return the copy of *agent*; raises InvalidOption for what no step can do."""
        found = self._made.get(id(agent))
        if found is not None:
            return found[1]  # type: ignore[return-value]  # a copy is of the same class
        _check(agent)
        options: dict[str, Any] = {
            "tools": [self._tool(tool) for tool in agent.tools],
            "input_guardrails": [
                step_input_guardrail(g, self.units) for g in agent.input_guardrails
            ],
            "output_guardrails": [
                step_output_guardrail(g, self.units) for g in agent.output_guardrails
            ],
            "model_settings": agent.model_settings,
        }
        if isinstance(agent.model, Model):
            options["model"] = StepModel(agent.model, self.units)
        made = agent.clone(**options, handoffs=[])
        self._made[id(agent)] = self._made[id(made)] = (agent, made)
        made.handoffs = [self._handoff(each) for each in agent.handoffs]
        return made  # type: ignore[return-value]  # as above

    def _tool(self, tool: Tool) -> Tool:
        # another agent is run by the workflow, where its own calls are steps
        if isinstance(tool, FunctionTool) and not tool._is_agent_tool:  # noqa: SLF001  nothing else tells
            return step_tool(tool, self.units)
        return tool

    def _handoff(self, handoff: Agent[Any] | Handoff[Any, Any]) -> Agent[Any] | Handoff[Any, Any]:
        if isinstance(handoff, Handoff):
            return replace(handoff, on_invoke_handoff=self._invoking(handoff.on_invoke_handoff))
        return self.of(handoff)

    def _invoking(
        self, invoke: Callable[..., Awaitable[Agent[Any]]]
    ) -> Callable[..., Awaitable[Agent[Any]]]:
        async def hand_off(*args: Any) -> Agent[Any]:
            return self.of(await invoke(*args))

        return hand_off


def _check(agent: Agent[Any]) -> None:
    if agent.mcp_servers:
        msg = (
            f"agent {agent.name!r} has mcp_servers, which a workflow cannot talk to itself; "
            "use HostedMCPTool, or a function tool that calls the server"
        )
        raise InvalidOption(msg)
    for tool in agent.tools:
        if not isinstance(tool, (FunctionTool, *_HOSTED)):
            msg = (
                f"agent {agent.name!r} has a {type(tool).__name__}, which would run again on each "
                "replay; use a function tool"
            )
            raise InvalidOption(msg)
