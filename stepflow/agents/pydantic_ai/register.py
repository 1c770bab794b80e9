"""`app.agent`: an agent as a workflow of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_ai.agent import AbstractAgent
from pydantic_ai.toolsets import FunctionToolset

from stepflow.agents.pydantic_ai.durable import Durable
from stepflow.agents.pydantic_ai.remote import register_remote_tools
from stepflow.core.backoff import RetryPolicy
from stepflow.errors import InvalidOption, shown
from stepflow.kits.flow.context import Context

if TYPE_CHECKING:
    from stepflow.core.limits.limit import Limit
    from stepflow.kits.app import Stepflow


def register_agent(
    app: Stepflow,
    name: str,
    agent: AbstractAgent[Any, Any],
    *,
    deps: Callable[[Context], Any] | None,
    version: int,
    retry: RetryPolicy | None,
    limits: Sequence[Limit],
) -> None:
    """Register *agent* as workflow *name*, which takes a prompt and gives the agent's output."""
    register_remote_tools(app, agent, checked_durable(name, agent))

    async def carry(ctx: Context, prompt: str, _code: Any = tuple(_code_of(agent))) -> Any:  # noqa: B008  its build is made of it
        given = None if deps is None else deps(ctx)
        return (await agent.run(prompt, deps=given)).output

    output = agent.output_type
    carry.__annotations__["return"] = output if isinstance(output, type) else Any
    carry.__name__ = carry.__qualname__ = name
    app.workflow(name, version=version, retry=retry, agent=True, limits=limits)(carry)


def checked_durable(name: str, agent: object) -> Durable[Any]:
    """Return what makes *agent* durable; raises InvalidOption for what is no durable agent."""
    if not isinstance(agent, AbstractAgent):
        msg = f"app.agent({name!r}) was given {shown(agent)}; it takes an Agent of pydantic-ai"
        raise InvalidOption(msg)
    durable = Durable.from_agent(agent)
    if durable is None:
        msg = (
            f"app.agent({name!r}): the agent would start from its beginning after a crash; "
            "make it with Agent(..., capabilities=[Durable()])"
        )
        raise InvalidOption(msg)
    return durable


def _code_of(agent: AbstractAgent[Any, Any]) -> Iterator[Any]:
    """Give the functions of an agent's tools."""
    for toolset in agent.toolsets:
        if isinstance(toolset, FunctionToolset):
            yield from (tool.function for tool in toolset.tools.values())
