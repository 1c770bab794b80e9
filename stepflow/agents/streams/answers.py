"""What models have said, put together from their pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

from stepflow.agents.streams.pieces import MODEL, Piece
from stepflow.client import AsyncClient
from stepflow.core.output import OutputEnd, OutputEvent, OutputGap, OutputItem, OutputReset


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


def condensed(past: Sequence[OutputEvent], *, is_first: bool) -> list[OutputEvent]:
    """
    Leave out what is void of *past*; join pieces of one part that follow each other.

    Each has the id of its last piece, so a reader may go on after any of them. A reader whose
    *is_first* read this is has nothing that a reset could drop.
    """
    resets = {event.scope: at for at, event in enumerate(past) if isinstance(event, OutputReset)}
    made: list[OutputEvent] = []
    for at, event in enumerate(past):
        match event:
            case OutputItem(scope=scope) if scope is None or at > resets.get(scope, -1):
                before = made[-1] if made else None
                if isinstance(before, OutputItem) and _part(before) == _part(event):
                    made[-1] = replace(event, data=_joined(before.data, event.data))
                else:
                    made.append(event)
            case OutputReset(scope=scope) if not is_first and resets[scope] == at:
                made.append(event)
            case OutputGap():
                made.append(event)
    return made


def _part(item: OutputItem) -> tuple[str | None, int]:
    return item.scope, item.data["part"]


def _joined(before: Piece, piece: Piece) -> Piece:
    whole: Piece = {**piece, **before, "add": before.get("add", "") + piece.get("add", "")}
    if piece.get("end"):
        whole["end"] = True
    return whole


async def caught_up(
    client: AsyncClient, run_id: str, *, after: str | None = None
) -> AsyncIterator[OutputEvent]:
    """
    Follow what the models of a run say: what is there already at once, then as it comes.

    What a model has said without interruption comes in one piece. Pass the id of the last event
    that you have as *after*, to continue after it. Raises RunNotFound.
    """
    past = [
        event
        async for event in client.output(run_id, after=after, topics=MODEL, live=False)
        if not isinstance(event, OutputEnd)
    ]
    for event in condensed(past, is_first=after is None):
        yield event
    last = next((event.id for event in reversed(past) if event.id), after)
    async for event in client.output(run_id, after=last, topics=MODEL):
        yield event
