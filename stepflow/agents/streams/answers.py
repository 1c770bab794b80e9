"""What models have said, put together from their pieces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stepflow.agents.streams.pieces import MODEL, Piece
from stepflow.core.output import OutputItem


@dataclass(slots=True)
class ToolCall:
    """A tool call as far as the model has said it; *args* is JSON, once it is whole."""

    name: str
    id: str
    args: str = ""


@dataclass(slots=True)
class Answer:
    """What one model request has said so far; *step* is the scope of its output."""

    step: str
    attempt: int
    text: str = ""
    thinking: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)


def assemble(items: Iterable[OutputItem]) -> list[Answer]:
    """
    Put the answers of models together, one for each request, in their order.

    *items* are those of an `OutputView`, which has left out what is void.
    """
    answers: dict[str, Answer] = {}
    calls: dict[tuple[str, int], ToolCall] = {}
    for item in items:
        if item.topic != MODEL or item.scope is None:
            continue
        answer = answers.setdefault(item.scope, Answer(item.scope, item.attempt))
        piece: Piece = item.data
        added = piece.get("add", "")
        match piece.get("kind"):
            case "text":
                answer.text += added
            case "thinking":
                answer.thinking += added
            case "tool":
                at = (item.scope, piece["part"])
                if at not in calls:
                    calls[at] = ToolCall(piece.get("name", ""), piece.get("id", ""))
                    answer.tool_calls.append(calls[at])
                calls[at].args += added
    return [*answers.values()]
