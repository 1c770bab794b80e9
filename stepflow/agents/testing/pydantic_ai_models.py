"""Models of pydantic-ai for tests: those of a cassette, and those that a test answers for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ToolCallPart,
)
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel

from stepflow.agents.pydantic_ai import Durable
from stepflow.agents.testing.answers import MockModel, completion
from stepflow.agents.testing.tape import Tape, canonical
from stepflow.errors import InvalidOption, shown

Respond = Callable[[list[ModelMessage], AgentInfo], Awaitable[ModelResponse]]


def from_tape(tape: Tape, record: Any) -> FunctionModel:
    """Return a model that answers from *tape*, or as *record* does."""

    async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked = canonical({
            "messages": ModelMessagesTypeAdapter.dump_python(messages, mode="json"),
            "tools": [
                [tool.name, tool.description, tool.parameters_json_schema]
                for tool in (*info.function_tools, *info.output_tools)
            ],
        })  # fmt: skip
        found = tape.find(asked)
        if found is None:
            found = [_dumped(await _ask(record, messages, info, tape, asked))]
            tape.add(asked, found)
        [response] = ModelMessagesTypeAdapter.validate_python(found)
        assert isinstance(response, ModelResponse)
        return response

    return _model(respond, tape.path.stem)


async def _ask(
    record: Any, messages: list[ModelMessage], info: AgentInfo, tape: Tape, asked: Any
) -> ModelResponse:
    if record is None:
        raise tape.miss(asked)
    if not isinstance(record, Model):
        msg = f"record of a cassette is {shown(record)}; an agent asks a model of pydantic-ai"
        raise InvalidOption(msg)
    return await record.request(messages, info.model_settings, info.model_request_parameters)


def _dumped(response: ModelResponse) -> Any:
    return ModelMessagesTypeAdapter.dump_python([response], mode="json")[0]


def from_mock(mock: MockModel) -> FunctionModel:
    """Return a model that answers as *mock* says."""

    async def respond(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        del info
        mock.requests.append(messages)
        rounds = sum(isinstance(each, ModelResponse) for each in messages)
        made = completion(mock.answer(rounds), serial=len(messages))
        if made.tool_calls:
            return ModelResponse(
                parts=[
                    ToolCallPart(call.name, call.arguments, tool_call_id=call.id)
                    for call in made.tool_calls
                ]
            )
        return ModelResponse(parts=[TextPart(made.text)])

    return _model(respond, mock.name)


def use_model(agent: Agent[Any, Any], model: Any) -> None:
    """Have *agent* ask *model*, also where it is durable: that knows its model by a name."""
    agent.model = model
    durable = Durable.from_agent(agent)
    if durable is not None:
        durable._bind_models(agent)  # noqa: SLF001  the one way to a model that came later


def _model(respond: Respond, name: str) -> FunctionModel:
    async def stream(
        messages: list[ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | DeltaToolCalls]:
        response = await respond(messages, info)
        for index, part in enumerate(response.parts):
            if isinstance(part, TextPart):
                yield part.content
            elif isinstance(part, ToolCallPart):
                call = DeltaToolCall(
                    part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id
                )
                yield {index: call}

    return FunctionModel(respond, stream_function=stream, model_name=name)
