"""What the reader of docs/how-to/agents/frameworks.md has at hand."""

import json
from typing import Any

from agents import Model, ModelResponse, Usage
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

import stepflow
from stepflow import Context, RetryPolicy, Stepflow

app = Stepflow()


class Scripted(Model):
    """Wants a refund, then says what came of it."""

    async def get_response(self, *args: Any, input: Any, **options: Any) -> ModelResponse:  # noqa: A002  theirs
        if isinstance(input, str) or len(input) < 3:
            arguments = json.dumps({"order_id": "A-17", "amount": 30})
            output: Any = ResponseFunctionToolCall(
                arguments=arguments, call_id="1", name="refund", type="function_call"
            )
        else:
            text = ResponseOutputText(text=input[-1]["output"], type="output_text", annotations=[])
            output = ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *args: Any, **options: Any) -> Any:
        raise NotImplementedError


model = Scripted()


async def look_up(source: str, topic: str) -> str:
    return f"{topic} in {source}"


async def check(h, space):
    for name, payload, prompt, found in (
        ("report", "tides", "Publish 2 notes?", True),
        (
            "openai-support",
            "It broke.",
            "Allow refund(order_id='A-17', amount=30)?",
            "30 EUR are on their way",
        ),
    ):
        run = await h.submit(name, payload)
        [question] = await h.client.questions()
        assert question.prompt == prompt
        await h.client.answer(question.token, True)
        assert await h.result(run) == found


__all__ = ["Context", "RetryPolicy", "stepflow"]
