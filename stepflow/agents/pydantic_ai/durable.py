"""The capability that makes an agent durable."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.agent import AbstractAgent, EventStreamHandler
from pydantic_ai.capabilities.abstract import (
    AbstractCapability,
    WrapRunHandler,
    WrapToolExecuteHandler,
)
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperation,
    ToolsetKind,
    conversation_id_from_run_id,
)
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.run import AgentRunResult
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import (
    AgentDepsT,
    DeferredToolRequests,
    DeferredToolResults,
    ToolDefinition,
)

from stepflow.agents.pydantic_ai import runs
from stepflow.agents.pydantic_ai.asking import Asking, Notify, is_left_to_others
from stepflow.agents.pydantic_ai.backend import StepBackend
from stepflow.agents.pydantic_ai.compat import external_event_scope
from stepflow.agents.pydantic_ai.options import (
    METADATA,
    OptionsOf,
    UnitOptions,
    checked,
    prompt_in,
)
from stepflow.agents.pydantic_ai.remote import Elsewhere
from stepflow.agents.pydantic_ai.runs import runs_of, workflow
from stepflow.agents.pydantic_ai.spans import tell_replays
from stepflow.agents.pydantic_ai.streaming import publishing
from stepflow.core.backoff import RetryPolicy
from stepflow.errors import InvalidOption, shown

#: the kinds of toolsets that an agent may have
_KINDS: tuple[ToolsetKind, ...] = ("function", "mcp", "dynamic")


def leave_retries_to_us(request: ModelRequestContext) -> None:
    """Have the provider's SDK make one try, unless the agent says otherwise: the step has more."""
    if "max_retries" in request.model.unsupported_settings:
        return
    settings = ModelSettings(max_retries=0)
    request.model_settings = {**settings, **(request.model_settings or {})}


class Durable(BaseDurabilityCapability[AgentDepsT]):
    """
    Makes each model request and tool call of an agent a remembered step of the workflow run.

    `Agent("anthropic:claude-sonnet-4-5", name="support", capabilities=[Durable()])`. Await
    `agent.run(...)` in a workflow as anywhere else. Outside of workflows the agent runs as without
    this capability.

    *retry* and *timeout* (seconds or timedelta, for one attempt) are for all units, by default the
    workflow's policy and no limit; *model* and *tools* override them for requests and for tool
    calls. `model={"limit": [requests, tokens.of(units=2000)]}` has requests ask for limits: one
    with `units=` counts tokens, and what the provider says in a 429 counts for all workers. A
    tool's own are in its metadata: `metadata={"stepflow": {"timeout": 60}}`. With False
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
        stream: bool = False,
        notify: Notify | None = None,
        answer_within: float | timedelta | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        every = checked({"retry": retry, "timeout": timeout}, "Durable")
        if model and isinstance(model.get("limit"), str):
            msg = f"limit of model= of Durable is {shown(model['limit'])}; write Limit(...)"
            raise InvalidOption(msg)
        self._options = OptionsOf(
            model={**every, **checked(model or {}, "model= of Durable")},
            tools={**every, **checked(tools or {}, "tools= of Durable")},
            other=every,
        )
        self._notify, self._answer_within = notify, answer_within
        self._stream = stream
        #: what a call of a tool does, by the id of its toolset
        self.tool_operations: dict[str, DurableOperation[Any, Any, Any]] = {}
        #: what carries out the calls of tools elsewhere, by tool; filled by `app.agent`
        self.remote_tools: dict[str, Elsewhere] = {}
        #: what people are asked before a tool is called, by tool: from its metadata
        self.prompts: dict[str, str] = {}

    def for_agent(self, agent: AbstractAgent[AgentDepsT, Any]) -> AbstractCapability[AgentDepsT]:
        own = copy.copy(self)  # another agent may be made with the same object
        own.tool_operations, own.remote_tools, own.prompts = {}, {}, {}
        return super(Durable, own).for_agent(agent)

    @property
    def _asking(self) -> Asking:
        return Asking(self.name, self._notify, self._answer_within)

    @property
    def in_durable_context(self) -> bool:
        return workflow() is not None

    def get_durable_operation_backend(self) -> StepBackend:
        return StepBackend(
            agent_name=self.name, config=self._options,
            operations=self.tool_operations, remote=self.remote_tools,
        )  # fmt: skip

    @property
    def has_wrap_run_event_stream(self) -> bool:
        return super().has_wrap_run_event_stream or (self._stream and self.in_durable_context)

    def _model_stream_event_handler(self) -> EventStreamHandler[AgentDepsT] | None:
        inner = super()._model_stream_event_handler()
        return publishing(inner) if self._stream else inner

    def get_default_run_id(self) -> str | None:
        ctx = workflow()
        return None if ctx is None else runs_of(ctx).make_id(self.name)

    def get_default_conversation_id(self, run_id: str) -> str | None:
        ctx = workflow()
        if ctx is None:
            return None
        # every run gets here, before it makes its first task and opens its first span
        runs_of(ctx).begin(run_id)
        tell_replays(ctx)
        return conversation_id_from_run_id(run_id)

    async def get_run_start_time(self, run_id: str) -> datetime | None:  # noqa: ARG002  of the interface
        ctx = workflow()
        return None if ctx is None else ctx.now()

    async def before_model_request(
        self, ctx: RunContext[AgentDepsT], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        request = await super().before_model_request(ctx, request_context)
        if self.in_durable_context:
            leave_retries_to_us(request)
        return request

    async def wrap_run(
        self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler
    ) -> AgentRunResult[Any]:
        found = workflow()
        if found is None:
            return await super().wrap_run(ctx, handler=handler)
        token = runs.present.set(runs_of(found).key_of(ctx.run_id))
        try:
            with self._waiting(ctx):
                return await super().wrap_run(ctx, handler=handler)
        finally:
            runs_of(found).end(ctx.run_id)
            runs.present.reset(token)

    def _waiting(self, ctx: RunContext[AgentDepsT]) -> AbstractContextManager[Any]:
        """Have what waits for something outside of the run wait for the answer to a question."""
        if external_event_scope is None:
            return nullcontext()
        from stepflow.agents.pydantic_ai.waiting import QuestionWaiter  # noqa: PLC0415  not before 2.68

        scope: AbstractContextManager[Any] = external_event_scope(
            QuestionWaiter(ctx.run_id, self.name, self._asks_for)
        )
        return scope

    def _asks_for(self, name: str) -> str:
        return f"{self.name} waits for an answer: {name}"

    async def prepare_tools(
        self, ctx: RunContext[AgentDepsT], tool_defs: list[ToolDefinition]
    ) -> list[ToolDefinition]:
        for tool in tool_defs:
            prompt = prompt_in(tool.metadata)
            if prompt is not None:
                self.prompts[tool.name] = prompt
        return await super().prepare_tools(ctx, tool_defs)

    async def handle_deferred_tool_calls(
        self, ctx: RunContext[AgentDepsT], *, requests: DeferredToolRequests
    ) -> DeferredToolResults | None:
        found = workflow()
        if found is None or is_left_to_others(ctx):
            return None
        return await self._asking.ask(found, ctx, requests, self.prompts)

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
