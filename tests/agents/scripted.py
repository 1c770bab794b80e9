"""Providers that say what a test has them say, and count."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from stepflow.agents.providers import Completion, CompletionRequest, ToolCall, Usage

Said = str | list[tuple[str, dict[str, Any] | str]] | Completion | Exception


def completion(said: Said, request: CompletionRequest) -> Completion:
    """Make the answer: a text, or calls of tools, each a name and its arguments."""
    if isinstance(said, Exception):
        raise said
    if isinstance(said, Completion):
        return said
    serial = len(request.messages)
    used = Usage(sum(len(each.text.split()) for each in request.messages), 1, 0, 1)
    if isinstance(said, str):
        return Completion(said, usage=used)
    calls = tuple(
        ToolCall(f"{serial}.{index}", name, given if isinstance(given, str) else json.dumps(given))
        for index, (name, given) in enumerate(said)
    )
    return Completion(tool_calls=calls, finish="tools", usage=used)


@dataclass
class Scripted:
    """Answers by how far the conversation has come, as a model does; *by_round* has its answers."""

    by_round: list[Said]
    name: str = "scripted"
    requests: list[CompletionRequest] = field(default_factory=list)

    async def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        rounds = sum(each.role == "assistant" for each in request.messages)
        return completion(self.by_round[min(rounds, len(self.by_round) - 1)], request)


@dataclass
class InTurn:
    """Answers one after the other, however the conversation stands; the last one for ever."""

    answers: list[Said]
    name: str = "in-turn"
    requests: list[CompletionRequest] = field(default_factory=list)

    async def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        return completion(self.answers[min(len(self.requests), len(self.answers)) - 1], request)


@dataclass
class Calling:
    """Answers by a function of the request."""

    answer: Callable[[CompletionRequest], Said]
    name: str = "calling"
    requests: list[CompletionRequest] = field(default_factory=list)

    async def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        return completion(self.answer(request), request)
