"""What the reader of docs/agents.md has at hand."""

from datetime import timedelta

from pydantic_ai import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

from stepflow import Context, Limit, RetryPolicy, Stepflow

app = Stepflow()


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    match [part for part in messages[-1].parts if isinstance(part, ToolReturnPart)]:
        case []:
            return ModelResponse(parts=[ToolCallPart("find_order", {"number": 7})])
        case [ToolReturnPart(tool_name="find_order")]:
            return ModelResponse(parts=[ToolCallPart("refund", {"amount": 30})])
        case [found, *_]:
            return ModelResponse(parts=[TextPart(str(found.content))])


model = FunctionModel(answer)


async def unbook(booking: str) -> None:
    """Undo a booking."""


async def check(h, space):
    run = await h.submit("support", "the kite is broken")
    [question] = [each for each in await h.client.questions() if each.run_id == run.id]
    assert question.prompt == "Refund 30 euros?"
    await h.client.answer(question.token, True)
    assert await h.result(run) == "refunded 30 euros"


__all__ = ["Context", "Limit", "ModelHTTPError", "RetryPolicy", "timedelta"]
