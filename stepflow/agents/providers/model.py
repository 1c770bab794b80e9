"""What is said to a model and what it answers, in words that fit every provider."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

#: why a model has stopped: it was done, wants tools, was cut off, would not say it
Finish = Literal["stop", "tools", "length", "refused"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a model wants called; *arguments* is the text that it wrote, JSON if all is well."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Message:
    """
    One message of a conversation.

    An answer of a model may want *tool_calls*; a message of role "tool" answers one of them.
    *native* is an answer as its provider had it, which may say more, such as what the model
    thought; that provider gets it back as it was.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    tool_name: str = ""
    is_error: bool = False
    native: Any = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model is told of it; *parameters* is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """
    What a model is asked.

    With *answer* it has to answer by a call of just that, and nothing else.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    answer: ToolSpec | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What calls of models have used."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    requests: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.requests + other.requests,
        )


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """
    One try of a call: which provider, what became of it, what it used.

    *outcome* is how the model ended, or the kind of the error: "transient", "overloaded",
    "prompt_too_long", "quota", "rejected".
    """

    provider: str
    outcome: str
    usage: Usage = field(default_factory=Usage)
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """
    What a model answered.

    *tries* counts the attempts of the call, failed ones too; *ledger* lists those that `Resilient`
    made. *cut* has those of them that were cut off while they were streamed, each its number and
    the tokens that had come of it at least.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: Finish = "stop"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    native: Any = None
    tries: int = 1
    ledger: tuple[LedgerEntry, ...] = ()
    cut: tuple[tuple[int, int], ...] = ()

    @property
    def used(self) -> Usage:
        """What the call has used, with what came of attempts that were cut off, at least."""
        return self.usage + Usage(output_tokens=sum(tokens for _, tokens in self.cut))

    def message(self) -> Message:
        """Return it as the message that goes on with the conversation."""
        return Message("assistant", self.text, self.tool_calls, native=self.native)


@runtime_checkable
class Provider(Protocol):
    """
    Whatever completes a conversation; *name* is how histories and ledgers call it.

    Raise one of the errors of `stepflow.agents.providers` where you know what is wrong; with any
    other the retry policy decides.
    """

    @property
    def name(self) -> str: ...

    async def complete(self, request: CompletionRequest, /) -> Completion:
        """Answer *request*."""
        ...


@runtime_checkable
class StreamingProvider(Provider, Protocol):
    """A provider that can also say its answer piece by piece."""

    def stream(self, request: CompletionRequest, /) -> AsyncIterator[str | Completion]:
        """Give the pieces of the text as they come, and at last the whole Completion."""
        ...
