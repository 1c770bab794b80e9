"""Units as steps: what pydantic-ai would call at once is called by a keyed `ctx.step`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from pydantic_ai import RunContext
from pydantic_ai.durable_exec import (
    BoundDurableOperation,
    DurableOperation,
    DurableOperationId,
    EventStreamHandlerId,
    JournalCallableOperationBackend,
    ModelCancelSuspendedResponseId,
    ModelCompactMessagesId,
    ModelRequestId,
    ToolsetCallToolId,
    ToolsetCallToolParams,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
)

from stepflow.agents.budgets.charging import charged
from stepflow.agents.limits import settle_tokens
from stepflow.agents.pydantic_ai.compat import record_durable_unit
from stepflow.agents.pydantic_ai.errors import judged, raised
from stepflow.agents.pydantic_ai.options import (
    OptionsOf,
    UnitOptions,
    is_remote,
    limit_of_model,
)
from stepflow.agents.pydantic_ai.remote import Elsewhere, call_elsewhere
from stepflow.agents.pydantic_ai.runs import runs_of, workflow
from stepflow.agents.pydantic_ai.streaming import keep_what_was_said, said
from stepflow.agents.pydantic_ai.undoing import undoing
from stepflow.agents.streams.pieces import Piece
from stepflow.core.budgets.budget import Spending
from stepflow.errors import StepFailed
from stepflow.kits.flow.for_libraries import is_put_aside

P = TypeVar("P")
W = TypeVar("W")
R = TypeVar("R")

#: the tool call that is being begun
calling: ContextVar[ToolsetCallToolParams | None] = ContextVar(
    "stepflow_agent_calling", default=None
)


class Bound(BoundDurableOperation[P, W, R]):
    """Calls tools, and has the backend know which: it is given only what to do."""

    def __init__(self, inner: BoundDurableOperation[P, W, R]) -> None:
        self._inner = inner

    @property
    def operation(self) -> DurableOperation[P, W, R]:
        return self._inner.operation

    async def __call__(self, params: P, *, config: object | None = None) -> R:
        token = calling.set(params if isinstance(params, ToolsetCallToolParams) else None)
        try:
            return await self._inner(params, config=config)
        finally:
            calling.reset(token)


class StepBackend(JournalCallableOperationBackend[UnitOptions]):
    """Carries out the units of the agent that is called *agent_name*."""

    def __init__(
        self,
        *,
        agent_name: str,
        config: OptionsOf,
        operations: dict[str, DurableOperation[Any, Any, Any]],
        remote: Mapping[str, Elsewhere],
    ) -> None:
        super().__init__(agent_name=agent_name, config=config)
        self._agent = agent_name
        self._operations, self._remote = operations, remote

    def bind(self, operation: DurableOperation[P, W, R]) -> BoundDurableOperation[P, W, R]:
        of = operation.operation_id
        if not isinstance(of, ToolsetCallToolId) or of.toolset_kind != "function":
            return super().bind(operation)
        self._operations[of.toolset_id] = operation
        return Bound(super().bind(operation))

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,  # ours are shorter
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: UnitOptions,
    ) -> object:
        ctx = workflow()
        if ctx is None:
            return await body()
        run = next((part for part in cache_key if isinstance(part, RunContext)), None)
        unit, called = _unit(operation_id, run, cache_key)
        key = runs_of(ctx).next_key(None if run is None else run.run_id, unit)
        policy = config.get("retry") or ctx._policy  # noqa: SLF001  one house
        was_executed = False
        pieces: list[Piece] = []
        limit = None
        if isinstance(operation_id, ModelRequestId):
            limit = limit_of_model(config, operation_id.model_name)

        async def attempt() -> object:
            nonlocal was_executed
            was_executed = True
            pieces.clear()
            said.set(pieces)
            try:
                value = await body()
            except Exception as error:
                raise judged(error, policy) from error
            if limit is not None:
                settle_tokens(_tokens(value))
            return value

        name, undo = f"{self._agent}.{called}", undoing(config.get("compensate"))
        params = calling.get()
        try:
            if params is not None and is_remote(config):
                function = self._remote.get(params.name)
                value = await call_elsewhere(ctx, name, function, params, key, policy, config, undo)
            else:
                value = await ctx.options(
                    key=key, retry=policy, timeout=config.get("timeout"), compensate=undo,
                    breaker=config.get("breaker"), limit=limit,
                    spends=_spends(operation_id, run, cache_key, pieces),
                ).step(name, attempt)  # fmt: skip
        except StepFailed as failed:
            model = operation_id.model_name if isinstance(operation_id, ModelRequestId) else None
            raise raised(failed, model) from failed
        except asyncio.CancelledError:
            if pieces and not is_put_aside(ctx):
                await keep_what_was_said(ctx, self._agent, key, pieces)
            raise
        finally:
            record_durable_unit(executed=was_executed)
        return value


def _spends(
    operation: DurableOperationId,
    run: RunContext[Any] | None,
    cache_key: tuple[object, ...],
    pieces: list[Piece],
) -> Spending | None:
    """Say what a model request spends of; nothing outside of `charging`, nor any other unit."""
    budgets = charged() if isinstance(operation, ModelRequestId) else ()
    if not budgets:
        return None
    from stepflow.agents.pydantic_ai.spending import spending_of  # noqa: PLC0415  wanted by few

    return spending_of(budgets, run, cache_key, pieces)


def _tokens(response: Any) -> int:
    """Count the tokens of a model's response, as it is recorded."""
    usage = response["usage"]
    return int(usage["input_tokens"]) + int(usage["output_tokens"])


def _unit(
    operation: DurableOperationId, run: RunContext[Any] | None, cache_key: tuple[object, ...]
) -> tuple[str, str]:
    """Return what names a unit in its agent run, and what its step is called."""
    step = 0 if run is None else run.run_step
    match operation:
        case ModelRequestId():
            return f"model/{step}", "model"
        case ModelCompactMessagesId():
            return f"compact/{step}", "compact"
        case ModelCancelSuspendedResponseId():
            return f"cancel/{step}", "cancel"
        case EventStreamHandlerId():
            return f"event/{_call_of_event(cache_key)}", "event"
        case ToolsetGetToolsId(toolset_id=toolset):
            return f"tools/{toolset}/{step}", f"{toolset}.tools"
        case ToolsetGetInstructionsId(toolset_id=toolset):
            return f"instructions/{toolset}/{step}", f"{toolset}.instructions"
        case ToolsetValidateToolArgumentsId():
            return f"args/{_call(run)}", f"{_tool(run)}.args"
        case ToolsetCallToolId():
            return f"call/{_call(run)}", _tool(run)
    capability = getattr(operation, "capability_id", type(operation).__name__)
    called = getattr(operation, "operation", "call")
    return f"capability/{capability}.{called}/{step}", f"{capability}.{called}"


def _tool(run: RunContext[Any] | None) -> str:
    return (run.tool_name if run is not None else None) or "tool"


def _call(run: RunContext[Any] | None) -> str:
    """Name a tool call: providers give ids, which some use again in a later round."""
    return "" if run is None else f"{run.run_step}/{run.tool_call_id or _tool(run)}"


def _call_of_event(cache_key: tuple[object, ...]) -> str:
    """Name the tool call that an event is about; "" for any other."""
    event = cache_key[0] if cache_key else None
    part = getattr(event, "part", None) or getattr(event, "result", None)
    found: str = getattr(event, "tool_call_id", None) or getattr(part, "tool_call_id", None) or ""
    return f"{getattr(event, 'event_kind', '')}/{found}"
