"""The capability that makes an agent durable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.agent import EventStreamHandler
from pydantic_ai.capabilities.abstract import WrapRunHandler, WrapToolExecuteHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    ToolsetKind,
    conversation_id_from_run_id,
    replay_scope,
)
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models import Model
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import AgentDepsT, ToolDefinition

from stepflow.agents.pydantic_ai import runs
from stepflow.agents.pydantic_ai.backend import StepBackend
from stepflow.agents.pydantic_ai.options import METADATA, OptionsOf, UnitOptions, checked
from stepflow.agents.pydantic_ai.runs import runs_of, workflow
from stepflow.core.backoff import RetryPolicy

#: the kinds of toolsets that an agent may have
_KINDS: tuple[ToolsetKind, ...] = ("function", "mcp", "dynamic")


class Durable(BaseDurabilityCapability[AgentDepsT]):
    """
    Makes each model request and tool call of an agent a remembered step of the workflow run.

    `Agent("anthropic:claude-sonnet-4-5", name="support", capabilities=[Durable()])`. Await
    `agent.run(...)` in a workflow as anywhere else. Outside of workflows the agent runs as without
    this capability.

    *retry* and *timeout* (seconds or timedelta, for one attempt) are for all units, by default the
    workflow's policy and no limit; *model* and *tools* override them for requests and for tool
    calls. A tool's own are in its metadata: `metadata={"stepflow": {"timeout": 60}}`. With False
    there, the tool is called in the workflow, where it may use `stepflow.current()`.
    """

    engine_spec = DurabilityEngineSpec(
        engine_name="stepflow",
        durable_unit_noun="step",
        durable_container_noun="workflow",
        codec=JSON_CODEC,
        # a workflow is put aside and replayed, so nothing that is open can stay with it
        toolset_lifecycles=dict.fromkeys(_KINDS, "enter-never"),
        tool_config_key=METADATA,
    )

    def __init__(
        self,
        *,
        retry: RetryPolicy | None = None,
        timeout: float | timedelta | None = None,
        model: UnitOptions | None = None,
        tools: UnitOptions | None = None,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        every = checked({"retry": retry, "timeout": timeout}, "Durable")
        self._options = OptionsOf(
            model={**every, **checked(model or {}, "model= of Durable")},
            tools={**every, **checked(tools or {}, "tools= of Durable")},
            other=every,
        )

    @property
    def in_durable_context(self) -> bool:
        return workflow() is not None

    def get_durable_operation_backend(self) -> StepBackend:
        return StepBackend(agent_name=self.name, config=self._options)

    def get_default_run_id(self) -> str | None:
        ctx = workflow()
        return None if ctx is None else runs_of(ctx).make_id(self.name)

    def get_default_conversation_id(self, run_id: str) -> str | None:
        ctx = workflow()
        if ctx is None:
            return None
        runs_of(ctx).begin(run_id)  # every run gets here, before it makes its first task
        return conversation_id_from_run_id(run_id)

    async def get_run_start_time(self, run_id: str) -> datetime | None:  # noqa: ARG002  of the interface
        ctx = workflow()
        return None if ctx is None else ctx.now()

    async def wrap_run(
        self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler
    ) -> AgentRunResult[Any]:
        found = workflow()
        if found is None:
            return await super().wrap_run(ctx, handler=handler)
        token = runs.present.set(runs_of(found).key_of(ctx.run_id))
        try:
            with replay_scope():
                return await super().wrap_run(ctx, handler=handler)
        finally:
            runs_of(found).end(ctx.run_id)
            runs.present.reset(token)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[AgentDepsT],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,  # noqa: ARG002  of the interface
        args: dict[str, Any],
        handler: WrapToolExecuteHandler,
    ) -> Any:
        found = workflow()
        if found is None:
            return await handler(args)
        token = runs.within.set(f"{runs_of(found).key_of(ctx.run_id)}/{call.tool_call_id}/")
        try:
            return await handler(args)
        finally:
            runs.within.reset(token)
