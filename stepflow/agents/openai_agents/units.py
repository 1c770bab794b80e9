"""The calls of an agent as steps of the workflow that runs it."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import openai
from agents import (
    FunctionTool,
    GuardrailFunctionOutput,
    InputGuardrail,
    Model,
    ModelProvider,
    ModelResponse,
    OutputGuardrail,
    Session,
)
from agents.models._retry_runtime import provider_managed_retries_disabled
from pydantic import TypeAdapter

from stepflow.agents.limits import resting, settle_tokens
from stepflow.agents.providers.calls import MODEL, WorkflowCalls
from stepflow.core.backoff import RetryPolicy
from stepflow.core.limits.limit import StepLimit
from stepflow.engine.user_code.calls import settled
from stepflow.errors import PermanentError, TransientError

#: statuses of 4xx that are worth another try
_AGAIN = frozenset({408, 409, 425, 429})
#: the one that says to come again later
_TOO_MANY = 429
#: where 5xx begins
_SERVER = 500
#: how the API says that waiting for quota does not help
_QUOTA = "insufficient_quota"

_response = TypeAdapter(ModelResponse)
_verdict = TypeAdapter(GuardrailFunctionOutput)


@dataclass(frozen=True, slots=True)
class Units:
    """Makes steps of *ctx*; *retry*, *timeout* and *limit* are those of the model's steps."""

    ctx: WorkflowCalls
    retry: RetryPolicy | None = None
    timeout: float | timedelta | None = None
    limit: StepLimit | None = None

    def step(self, name: str, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """Run *function* once; it gives what JSON can say."""
        return self.ctx.options().step(name, function, *args)

    def model_step(self, function: Callable[..., Any]) -> Awaitable[Any]:
        """Run a call of a model once."""
        options = self.ctx.options(retry=self.retry, timeout=self.timeout, limit=self.limit)
        return options.step(MODEL, function)


class StepModel(Model):
    """A model each of whose answers is a step."""

    def __init__(self, model: Model, units: Units) -> None:
        self._model, self._units = model, units

    async def get_response(self, *args: Any, **kwargs: Any) -> ModelResponse:
        async def ask() -> Any:
            with provider_managed_retries_disabled(True), _Judging():  # noqa: FBT003  its own sign
                response = await self._model.get_response(*args, **kwargs)
            settle_tokens(response.usage.input_tokens + response.usage.output_tokens)
            return _response.dump_python(response, mode="json")

        return _response.validate_python(await self._units.model_step(ask))

    def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        del args, kwargs
        msg = "Runner.run_streamed does not work in a workflow; use Runner.run"
        raise PermanentError(msg)


class StepModelProvider(ModelProvider):
    """A provider whose models are StepModels."""

    def __init__(self, provider: ModelProvider, units: Units) -> None:
        self._provider, self._units = provider, units

    def get_model(self, model_name: str | None) -> Model:
        return StepModel(self._provider.get_model(model_name), self._units)


class _Judging:
    """Raises an error of the API as one that is tried again, or is not."""

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, openai.APIStatusError):
            raise _judged(error) from error
        if isinstance(error, openai.APIConnectionError):
            raise TransientError(str(error)) from error


def _judged(error: openai.APIStatusError) -> Exception:
    status = error.status_code
    data = {"status": status, "code": error.code}
    if error.code == _QUOTA or (status < _SERVER and status not in _AGAIN):
        return PermanentError(str(error), data=data)
    try:
        wait_s = float(error.response.headers.get("Retry-After", 0))
    except ValueError:  # a date
        wait_s = 0.0
    again = TransientError(str(error), retry_after=wait_s, data=data)
    return resting(again, wait_s) if status == _TOO_MANY and wait_s else again


def step_tool(tool: FunctionTool, units: Units) -> FunctionTool:
    """Return *tool* with each call a step called like it."""
    made, invoke = copy.copy(tool), tool.on_invoke_tool

    async def call(context: Any, arguments: str) -> Any:
        return await units.step(tool.name, invoke, context, arguments)

    made.on_invoke_tool = call
    return made


def step_input_guardrail(guardrail: InputGuardrail[Any], units: Units) -> InputGuardrail[Any]:
    """Return *guardrail* with each check a step."""
    check = _step_check(guardrail.get_name(), guardrail.guardrail_function, units)
    return replace(guardrail, name=guardrail.get_name(), guardrail_function=check)


def step_output_guardrail(guardrail: OutputGuardrail[Any], units: Units) -> OutputGuardrail[Any]:
    """Return *guardrail* with each check a step."""
    check = _step_check(guardrail.get_name(), guardrail.guardrail_function, units)
    return replace(guardrail, name=guardrail.get_name(), guardrail_function=check)


def _step_check(name: str, function: Callable[..., Any], units: Units) -> Callable[..., Any]:
    async def judge(*args: Any) -> Any:
        return _verdict.dump_python(await settled(function(*args)), mode="json")

    async def check(*args: Any) -> GuardrailFunctionOutput:
        return _verdict.validate_python(await units.step(name, judge, *args))

    return check


class StepSession:
    """A session each of whose calls is a step."""

    def __init__(self, session: Session, units: Units) -> None:
        self._session, self._units = session, units
        self.session_id = session.session_id
        self.session_settings = session.session_settings

    async def get_items(self, limit: int | None = None) -> list[Any]:
        found: list[Any] = await self._units.step(
            "session.get_items", self._session.get_items, limit
        )
        return found

    async def add_items(self, items: list[Any]) -> None:
        await self._units.step("session.add_items", self._session.add_items, items)

    async def pop_item(self) -> Any:
        return await self._units.step("session.pop_item", self._session.pop_item)

    async def clear_session(self) -> None:
        await self._units.step("session.clear", self._session.clear_session)
