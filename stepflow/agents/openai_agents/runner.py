"""`run`: `Runner.run` in a workflow, where approvals are questions to people."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

from agents import Agent, RunConfig, Runner, RunResult, RunState
from agents.items import ToolApprovalItem
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner

from stepflow.agents.openai_agents.agents_of import StepAgents
from stepflow.agents.openai_agents.session import RunSession
from stepflow.agents.openai_agents.units import StepModel, StepModelProvider, StepSession, Units
from stepflow.agents.providers.calls import WorkflowCalls
from stepflow.core.backoff import RetryPolicy
from stepflow.core.limits.limit import StepLimit
from stepflow.kits.flow.context import Context
from stepflow.kits.flow.current import current

#: the copies of the agents of the run that this code is part of
_copies: ContextVar[StepAgents | None] = ContextVar("stepflow_openai_agents", default=None)


async def run(
    starting_agent: Agent[Any],
    input: str | list[Any] | RunState[Any],  # noqa: A002  as Runner.run has it
    *,
    retry: RetryPolicy | None = None,
    timeout: float | timedelta | None = None,
    limit: StepLimit | None = None,
    notify: Callable[[str], Any] | None = None,
    **options: Any,
) -> RunResult:
    """
    Run an agent as `Runner.run(starting_agent, input, **options)` does, in a workflow.

    Each answer of a model, call of a function tool, guardrail and call of a session is a step, by
    the name of the tool or guardrail. *retry*, *timeout* (seconds or timedelta) and *limit* (one
    with `units=` counts tokens) are those of the model's steps. A tool that needs approval asks
    people, as `ctx.ask` does, with *notify*. Tracing is off unless *options* have a run_config that
    says otherwise: a replay would trace again.

    Outside of workflows it is Runner.run.
    """
    ctx = current()
    if not isinstance(ctx, Context):
        return await Runner.run(starting_agent, input, **options)
    mark = _copies.set(StepAgents(Units(cast("WorkflowCalls", ctx), retry, timeout, limit)))
    try:
        result = await Runner.run(starting_agent, input, **options)
        while result.interruptions:
            state = result.to_state()
            for item in result.interruptions:
                await _decide(ctx, state, item, notify)
            result = await Runner.run(starting_agent, state, **options)
        return result
    finally:
        _copies.reset(mark)


async def _decide(
    ctx: Context, state: RunState[Any], item: ToolApprovalItem, notify: Callable[[str], Any] | None
) -> None:
    prompt = f"Allow {item.tool_name}({_arguments(item)})?"
    if await ctx.ask(bool, prompt, notify=notify):
        state.approve(item)
    else:
        state.reject(item)


def _arguments(item: ToolApprovalItem) -> str:
    text = item.arguments or "{}"
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(given, dict):
        return text
    return ", ".join(f"{name}={value!r}" for name, value in given.items())


class WorkflowRunner(AgentRunner):
    """Runs agents durably where a workflow runs them, and as *before* did elsewhere."""

    def __init__(self, before: AgentRunner) -> None:
        self._before = before

    async def run(self, starting_agent: Any, input: Any, **kwargs: Any) -> RunResult:  # noqa: A002  as above
        ctx = current()
        if not isinstance(ctx, Context):
            return await self._before.run(starting_agent, input, **kwargs)
        copies = _copies.get() or StepAgents(Units(cast("WorkflowCalls", ctx)))
        kwargs["run_config"] = _configured(kwargs.get("run_config"), copies.units)
        session = kwargs.get("session")
        if session is not None and not isinstance(session, RunSession):
            kwargs["session"] = StepSession(session, copies.units)
        mark = _copies.set(copies)
        try:
            return await self._before.run(copies.of(starting_agent), input, **kwargs)
        finally:
            _copies.reset(mark)

    def run_sync(self, *args: Any, **kwargs: Any) -> RunResult:
        return self._before.run_sync(*args, **kwargs)

    def run_streamed(self, *args: Any, **kwargs: Any) -> Any:
        return self._before.run_streamed(*args, **kwargs)


def _configured(given: RunConfig | dict[str, Any] | None, units: Units) -> RunConfig:
    config = RunConfig(**given) if isinstance(given, dict) else given
    if config is None:
        config = RunConfig(tracing_disabled=True)
    if isinstance(config.model_provider, StepModelProvider):
        return config
    model = config.model
    return replace(
        config,
        model_provider=StepModelProvider(config.model_provider, units),
        model=model if model is None or isinstance(model, str) else StepModel(model, units),
    )


set_default_agent_runner(WorkflowRunner(get_default_agent_runner()))
