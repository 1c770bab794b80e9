"""Any model of pydantic-ai as a provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import cached_property
from typing import Any, cast

from stepflow.agents.budgets.prices import price_of
from stepflow.agents.providers.errors import (
    PromptTooLong,
    ProviderFailed,
    ProviderOverloaded,
    ProviderRejected,
    QuotaExhausted,
)
from stepflow.agents.providers.model import (
    Completion,
    CompletionRequest,
    Finish,
    Message,
    StreamingProvider,
    ToolCall,
    ToolSpec,
    Usage,
)

try:
    from pydantic_ai import direct, exceptions, messages, models
    from pydantic_ai.settings import ModelSettings
    from pydantic_ai.tools import ToolDefinition
except ModuleNotFoundError as missing:
    sentence = "from_pydantic_ai needs pydantic-ai: pip install 'stepflow-rq[agents]'"
    raise ModuleNotFoundError(sentence, name=missing.name) from missing

#: by pydantic-ai's words for why a model has stopped; what it says of nothing else is "stop"
_FINISH: dict[str | None, Finish] = {
    "length": "length",
    "tool_call": "tools",
    "content_filter": "refused",
}
#: statuses of 4xx that are worth another try
_AGAIN = frozenset({408, 409, 425, 429})
#: the one that 4xx and 5xx have between them
_SERVER = 500
#: how a provider says that waiting for quota does not help
_QUOTA = "insufficient_quota"


def from_pydantic_ai(
    model: models.Model | str, *, settings: ModelSettings | None = None
) -> StreamingProvider:
    """
    Return a provider that calls *model*: `from_pydantic_ai("anthropic:claude-sonnet-4-5")`.

    The client library of the model makes one request a call, because the retry policy decides about
    another. *settings* are those of pydantic-ai.
    """
    return _PydanticAI(model, settings or ModelSettings())


class _PydanticAI:
    def __init__(self, model: models.Model | str, settings: ModelSettings) -> None:
        self._given = model
        self._settings = settings

    @cached_property
    def _model(self) -> models.Model:
        return models.infer_model(self._given)

    @property
    def name(self) -> str:
        return self._given if isinstance(self._given, str) else self._given.model_name

    def price(self, usage: Usage) -> Decimal | None:
        """Say what a call costs, in dollars; None for a model whose price nobody knows."""
        price = price_of(self._model.model_name, self._model.system, self._model.base_url)
        return price(usage.input_tokens, usage.output_tokens, usage.cached_tokens)

    async def complete(self, request: CompletionRequest) -> Completion:
        with _translated(self.name):
            response = await direct.model_request(
                self._model,
                _messages(request.messages),
                model_settings=self._settings_for(request),
                model_request_parameters=_parameters(request),
            )
        return _completion(response)

    async def stream(self, request: CompletionRequest) -> AsyncIterator[str | Completion]:
        with _translated(self.name):
            opened = direct.model_request_stream(
                self._model,
                _messages(request.messages),
                model_settings=self._settings_for(request),
                model_request_parameters=_parameters(request),
            )
            async with opened as stream:
                async for event in stream:
                    text = _said(event)
                    if text:
                        yield text
                response = stream.get()
        yield _completion(response)

    def _settings_for(self, request: CompletionRequest) -> ModelSettings:
        settings = cast("ModelSettings", {"max_retries": 0, **self._settings})
        if request.max_tokens is not None:
            settings["max_tokens"] = request.max_tokens
        return settings


def _said(event: messages.ModelResponseStreamEvent) -> str:
    match event:
        case messages.PartStartEvent(part=messages.TextPart(content=text)):
            return text
        case messages.PartDeltaEvent(delta=messages.TextPartDelta(content_delta=text)):
            return text
    return ""


def _parameters(request: CompletionRequest) -> models.ModelRequestParameters:
    tools = [_tool(spec) for spec in request.tools]
    if request.answer is None:
        return models.ModelRequestParameters(function_tools=tools)
    answer = _tool(request.answer)
    answer.kind = "output"
    return models.ModelRequestParameters(
        function_tools=tools, output_tools=[answer], output_mode="tool", allow_text_output=False
    )


def _tool(spec: ToolSpec) -> ToolDefinition:
    return ToolDefinition(
        name=spec.name, description=spec.description, parameters_json_schema=dict(spec.parameters)
    )


def _messages(conversation: Iterable[Message]) -> list[messages.ModelMessage]:
    """Return the conversation in their words: what is not the model's own goes into one request."""
    made: list[messages.ModelMessage] = []
    for message in conversation:
        if message.role == "assistant":
            made.append(_response(message))
            continue
        if not made or not isinstance(made[-1], messages.ModelRequest):
            made.append(messages.ModelRequest(parts=[]))
        cast("list[Any]", made[-1].parts).append(_part(message))
    return made


def _part(message: Message) -> messages.ModelRequestPart:
    match message.role:
        case "system":
            return messages.SystemPromptPart(content=message.text)
        case "tool":
            return messages.ToolReturnPart(
                tool_name=message.tool_name,
                content=message.text,
                tool_call_id=message.tool_call_id,
            )
    return messages.UserPromptPart(content=message.text)


def _response(message: Message) -> messages.ModelResponse:
    native = message.native
    if isinstance(native, dict) and "pydantic_ai" in native:
        [kept] = messages.ModelMessagesTypeAdapter.validate_python(native["pydantic_ai"])
        return cast("messages.ModelResponse", kept)
    parts: list[messages.ModelResponsePart] = []
    if message.text:
        parts.append(messages.TextPart(content=message.text))
    parts += [
        messages.ToolCallPart(tool_name=call.name, args=call.arguments, tool_call_id=call.id)
        for call in message.tool_calls
    ]
    return messages.ModelResponse(parts=parts)


def _completion(response: messages.ModelResponse) -> Completion:
    calls = tuple(
        ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str())
        for part in response.parts
        if isinstance(part, messages.ToolCallPart)
    )
    used = response.usage
    return Completion(
        text="".join(
            part.content for part in response.parts if isinstance(part, messages.TextPart)
        ),
        tool_calls=calls,
        finish="tools" if calls else _FINISH.get(response.finish_reason, "stop"),
        usage=Usage(used.input_tokens, used.output_tokens, used.cache_read_tokens, 1),
        model=response.model_name or "",
        native=_native(response),
    )


def _native(response: messages.ModelResponse) -> Any:
    """Return the response as it came, where text and calls are not all that there is to it."""
    if all(
        isinstance(part, messages.TextPart | messages.ToolCallPart)
        and not part.provider_details
        and not part.id
        for part in response.parts
    ):
        return None
    return {
        "pydantic_ai": messages.ModelMessagesTypeAdapter.dump_python([response], mode="json"),
    }


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Raise what pydantic-ai raises as the errors that say what comes next."""
    try:
        yield
    except exceptions.ModelAPIError as error:
        raise _judged(name, error) from error
    except (exceptions.UnexpectedModelBehavior, exceptions.UserError) as error:
        raise ProviderRejected(name, str(error)) from error


def _judged(name: str, error: exceptions.ModelAPIError) -> Exception:
    said, wait_s = str(error), error.retry_after
    status = error.status_code if isinstance(error, exceptions.ModelHTTPError) else None
    match error:
        case exceptions.ModelContextWindowExceededError():
            return PromptTooLong(name, said)
        case exceptions.ModelQuotaExceededError():
            return QuotaExhausted(name, said)
        case exceptions.ModelUnavailableError():
            return ProviderOverloaded(name, said, retry_after=wait_s)
    if _QUOTA in said:
        return QuotaExhausted(name, said)
    if status is not None and status < _SERVER and status not in _AGAIN:
        return ProviderRejected(name, said)
    return ProviderFailed(name, said, retry_after=wait_s)
