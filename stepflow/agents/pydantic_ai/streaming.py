"""What a model says is published while it says it, and kept when it is stopped."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
from pydantic_ai import RunContext
from pydantic_ai.agent import EventStreamHandler
from pydantic_ai.messages import (
    ModelResponsePart,
    ModelResponsePartDelta,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)

from stepflow.agents.streams.pieces import MODEL, Piece, tokens_in
from stepflow.core.output import emit
from stepflow.kits.flow.context import Context

#: what the attempt has published so far: left when it is stopped
said: ContextVar[list[Piece] | None] = ContextVar("stepflow_agent_said", default=None)


async def keep_what_was_said(ctx: Context, agent: str, key: str, pieces: list[Piece]) -> None:
    """Remember what a model had said when it was stopped, as step `<agent>.stopped`."""
    answer: dict[str, Any] = {"text": "", "thinking": "", "tools": {}}
    for piece in pieces:
        if piece["kind"] == "tool":
            call = answer["tools"].setdefault(
                piece["part"], {"name": piece.get("name"), "args": ""}
            )
            call["args"] += piece.get("add", "")
        else:
            answer[piece["kind"]] += piece.get("add", "")
    usage = {"output_tokens": tokens_in(pieces)}
    kept = {**answer, "tools": [*answer["tools"].values()], "usage": usage}
    with anyio.CancelScope(shield=True):  # the task group of the run goes on cancelling
        await ctx.step(f"{agent}.stopped", lambda: kept, key=f"{key}/stopped")


def publishing(inner: EventStreamHandler[Any] | None) -> EventStreamHandler[Any]:
    """Return a handler of a model's stream that publishes it, and has *inner* handle it as well."""

    async def publish(run: RunContext[Any], events: AsyncIterable[Any]) -> None:
        stream = _published(events)
        if inner is not None:
            await inner(run, stream)
        async for _ in stream:
            pass

    return publish


async def _published(events: AsyncIterable[Any]) -> AsyncIterator[Any]:
    kept = said.get()
    kinds: dict[int, Piece] = {}
    async for event in events:
        piece = _piece_of(event, kinds)
        if piece is not None:
            if kept is not None:
                kept.append(piece)
            emit(piece, MODEL)
        yield event


def _piece_of(event: Any, kinds: dict[int, Piece]) -> Piece | None:
    """Return what *event* adds to the answer; *kinds* has the kind of each part so far."""
    match event:
        case PartStartEvent(index=index, part=part):
            begun = _begun(index, part)
            if begun is not None:
                kinds[index] = {"part": index, "kind": begun["kind"]}
            return begun
        case PartDeltaEvent(index=index, delta=delta) if index in kinds:
            added = _added(delta)
            return {**kinds[index], "add": added} if added else None
        case PartEndEvent(index=index) if index in kinds:
            return {**kinds[index], "end": True}
    return None


def _begun(index: int, part: ModelResponsePart) -> Piece | None:
    match part:
        case TextPart(content=content):
            return {"part": index, "kind": "text", "add": content}
        case ThinkingPart(content=content):
            return {"part": index, "kind": "thinking", "add": content}
        case ToolCallPart(tool_name=name, tool_call_id=call, args=args):
            added = _as_json(args)
            return {"part": index, "kind": "tool", "add": added, "name": name, "id": call}
    return None


def _added(delta: ModelResponsePartDelta) -> str:
    match delta:
        case TextPartDelta(content_delta=added):
            return added
        case ThinkingPartDelta(content_delta=added):
            return added or ""
        case ToolCallPartDelta(args_delta=args):
            return _as_json(args)
    return ""


def _as_json(args: Any) -> str:
    if args is None:
        return ""
    return args if isinstance(args, str) else json.dumps(args)
