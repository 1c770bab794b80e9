"""What a mocked model answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from stepflow.agents.providers.model import Completion, CompletionRequest, ToolCall, Usage

#: a text, calls of tools as (name, arguments), an exception to raise, or the whole Completion
Answer = str | Sequence[tuple[str, dict[str, Any]]] | Exception | Completion


class MockModel:
    """
    Answers instead of a model: the n-th answer goes to a conversation with n answers in it.

    The last one goes to all after it. So an answer that a crash has lost is given again. A function
    of the request may stand for the answers. `requests` lists what was asked, in order: of a
    provider each CompletionRequest, of an agent of pydantic-ai the messages of each request.
    """

    def __init__(
        self, answers: Sequence[Answer] | Callable[[CompletionRequest], Answer], name: str = "mock"
    ) -> None:
        self._answers = answers
        self.name = name
        self.requests: list[Any] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer as a provider."""
        self.requests.append(request)
        if callable(self._answers):
            return completion(self._answers(request), serial=len(request.messages))
        rounds = sum(each.role == "assistant" for each in request.messages)
        return completion(self.answer(rounds), serial=len(request.messages))

    def answer(self, rounds: int) -> Answer:
        """Return the answer after so many."""
        assert not callable(self._answers), "a function answers requests of providers only"
        return self._answers[min(rounds, len(self._answers) - 1)]


def completion(answer: Answer, *, serial: int) -> Completion:
    """Make the Completion that *answer* stands for, or raise it; *serial* is part of call ids."""
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, Completion):
        return answer
    used = Usage(requests=1)
    if isinstance(answer, str):
        return Completion(answer, usage=used, model="mock")
    calls = tuple(
        ToolCall(f"call-{serial}-{index}", name, json.dumps(given))
        for index, (name, given) in enumerate(answer)
    )
    return Completion(tool_calls=calls, finish="tools", usage=used, model="mock")
