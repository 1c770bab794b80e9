"""
Tools on another queue, or under a limit: each call is a child run of one step.

What a call needs travels with it, as plain values: its arguments, what the tool may know of the
run, and the dependencies. `app.agent` registers a runner for each such tool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from pydantic import TypeAdapter
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.durable_exec import (
    DurabilityEngineSpec,
    DurableOperation,
    DurableRunContext,
    ToolsetCallToolParams,
)
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.toolsets import FunctionToolset

from stepflow.agents.pydantic_ai.errors import judged
from stepflow.agents.pydantic_ai.options import METADATA, UnitOptions, checked, is_remote
from stepflow.core.backoff import RetryPolicy
from stepflow.core.limits.limit import Limit
from stepflow.errors import InvalidOption, did_you_mean, shown
from stepflow.jobs import call_runner
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.for_libraries import queue_of
from stepflow.kits.flow.step_options import DeclaredStep, declare
from stepflow.times import seconds

if TYPE_CHECKING:
    from stepflow.kits.app import Stepflow

#: a step's function that carries a call out elsewhere
Elsewhere = Callable[[dict[str, Any]], Awaitable[Any]]


class OfAgent(Protocol):
    """The capability of an agent, as its tools elsewhere need it."""

    name: str
    engine_spec: ClassVar[DurabilityEngineSpec]
    #: what a call of a tool does, by the id of its toolset
    tool_operations: dict[str, DurableOperation[Any, Any, Any]]
    #: what carries out the calls of tools elsewhere, by tool
    remote_tools: dict[str, Elsewhere]


_anything: TypeAdapter[Any] = TypeAdapter(Any)
_tool_def = TypeAdapter(ToolDefinition)


def register_remote_tools(app: Stepflow, agent: AbstractAgent[Any, Any], durable: OfAgent) -> None:
    """Register a runner for each tool of *agent* that says `queue` or `limit`."""
    for toolset in agent.toolsets:
        for name, tool in toolset.tools.items() if isinstance(toolset, FunctionToolset) else ():
            own = (tool.metadata or {}).get(METADATA)
            if isinstance(own, Mapping) and is_remote(own):
                options = checked(own, f"metadata[{METADATA!r}] of tool {name!r}")
                assert isinstance(toolset, FunctionToolset)
                durable.remote_tools[name] = _registered(
                    app, agent, durable, toolset, name, options
                )


def _registered(
    app: Stepflow,
    agent: AbstractAgent[Any, Any],
    durable: OfAgent,
    toolset: FunctionToolset[Any],
    name: str,
    options: UnitOptions,
) -> Elsewhere:
    operation = durable.tool_operations[str(toolset.id)]
    policy = options.get("retry") or RetryPolicy()

    async def carry(call: dict[str, Any]) -> Any:
        try:
            return await _carried_out(call, agent, durable, toolset, operation)
        except Exception as error:
            raise judged(error, policy) from error

    limit, timeout = options.get("limit"), options.get("timeout")
    timeout_s = None if timeout is None else seconds(timeout, f"timeout of tool {name!r}")
    runner = f"step:{durable.name}.{name}"
    declare(carry, DeclaredStep(f"{durable.name}.{name}", timeout_s=timeout_s, runner=runner))
    app.registry.add(
        runner, call_runner(carry, runner), retry=policy, step_timeout_s=timeout_s,
        limits=() if limit is None else (_limit(app, name, limit),),
    )  # fmt: skip
    return carry


def _limit(app: Stepflow, tool: str, given: object) -> Limit:
    """Return the limit that a tool names; raises InvalidOption for a name that no runner has."""
    if isinstance(given, Limit):
        return given
    if not isinstance(given, str):
        msg = f"the limit of tool {tool!r} is {shown(given)}; a tool has one, written as Limit(...)"
        raise InvalidOption(msg)
    every = {limit.name: limit for limits in app.registry.limited.values() for limit in limits}
    if given not in every:
        near = did_you_mean(given, list(every))
        msg = f"tool {tool!r} names limit {given!r}; write limit=Limit({given!r}, rate=...){near}"
        raise InvalidOption(msg)
    return every[given]


async def _carried_out(
    call: Mapping[str, Any],
    agent: AbstractAgent[Any, Any],
    durable: OfAgent,
    toolset: FunctionToolset[Any],
    operation: DurableOperation[ToolsetCallToolParams, Any, Any],
) -> Any:
    deps = call["deps"]
    if deps is not None:
        deps = TypeAdapter(agent.deps_type).validate_python(deps)
    run = DurableRunContext.restore(
        call["run"], deps=deps, agent=agent, engine_spec=durable.engine_spec
    )
    tool = toolset.tool_for_tool_def(
        _tool_def.validate_python(call["tool"]), ctx=run, original_name=call["original_name"]
    )
    args = tool.args_validator.validate_python(call["args"])
    params = ToolsetCallToolParams(call["name"], tool_args=args, ctx=run, tool=tool)
    return operation.result_codec.dump(await operation.handler(params))


def call_elsewhere(
    ctx: Context,
    name: str,
    function: Elsewhere | None,
    params: ToolsetCallToolParams,
    key: str,
    policy: RetryPolicy,
    options: UnitOptions,
    compensate: Callable[[Any], Any] | None,
) -> Awaitable[Any]:
    """Have a tool call carried out by a worker of its queue; returns its remembered value."""
    if function is None or params.tool is None:
        msg = (
            f"tool {params.name!r} says queue or limit, whose workers find it by the app: "
            "call app.agent(name, agent), after its tools are there"
        )
        raise InvalidOption(msg)
    call = {
        "name": params.name,
        "args": _anything.dump_python(params.tool_args, mode="json"),
        "tool": _tool_def.dump_python(params.tool.tool_def, mode="json"),
        "original_name": getattr(params.tool, "original_name", None),
        "run": _anything.dump_python(
            DurableRunContext.serialize_run_context(params.ctx), mode="json"
        ),
        "deps": _anything.dump_python(params.ctx.deps, mode="json"),
    }
    return ctx.options(
        key=key, retry=policy, queue=options.get("queue") or queue_of(ctx), compensate=compensate
    ).step(name, function, call)
