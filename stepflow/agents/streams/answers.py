"""What models have said, put together from their pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace

from stepflow.agents.streams.pieces import MODEL, Piece
from stepflow.client import AsyncClient
from stepflow.core.output import OutputEnd, OutputEvent, OutputItem, OutputReset, OutputView


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


def folded(items: Iterable[OutputItem]) -> list[OutputItem]:
    """Make one item of all pieces of a part; each has the id of its last one."""
    parts: dict[tuple[str | None, int], OutputItem] = {}
    for item in items:
        piece: Piece = item.data
        at = (item.scope, piece["part"])
        before: Piece = parts[at].data if at in parts else {}
        whole: Piece = {**piece, **before, "add": before.get("add", "") + piece.get("add", "")}
        if piece.get("end"):
            whole["end"] = True
        parts[at] = replace(item, data=whole)
    return [*parts.values()]


async def caught_up(
    client: AsyncClient, run_id: str, *, after: str | None = None
) -> AsyncIterator[OutputEvent]:
    """
    Follow what the models of a run say: what is there already in one piece, then as it comes.

    Pass the id of the last event that you have as *after*, to continue after it. Raises
    RunNotFound.
    """
    view, resets, last = OutputView(), dict[str, OutputReset](), after
    async for event in client.output(run_id, after=after, topics=MODEL, live=False):
        view.apply(event)
        if isinstance(event, OutputReset):
            resets[event.scope] = event
        if not isinstance(event, OutputEnd):
            last = event.id or last
    for reset in resets.values() if after is not None else ():
        yield replace(reset, id=last or reset.id)
    for item in folded(view.items):
        yield replace(item, id=last or item.id)
    async for event in client.output(run_id, after=last, topics=MODEL):
        yield event
