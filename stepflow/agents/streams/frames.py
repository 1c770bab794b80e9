"""
Frames for chat components in browsers: server-sent events of two protocols.

Both are functions over the events of `caught_up`, or of `client.output(run_id, topics="model")`.
What became void is told as an event of our own, with the ids of the parts to drop.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from stepflow.agents.streams.pieces import Piece
from stepflow.core.output import OutputEnd, OutputEvent, OutputItem, OutputReset


class Opened:
    """
    The parts that a reader knows: the id of each, by step and number.

    It is the same whenever the reader comes back: of a tool call its own, of others `step/number`.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[str | None, int], str] = {}

    def id_of(self, item: OutputItem) -> tuple[str, bool]:
        """Return the id of an item's part, and whether it is new."""
        piece: Piece = item.data
        key = (item.scope, piece["part"])
        is_new = key not in self._ids
        if is_new:
            self._ids[key] = piece.get("id") or f"{item.scope}/{piece['part']}"
        return self._ids[key], is_new

    def drop(self, scope: str) -> list[str]:
        """Forget the parts of a step, and return their ids."""
        keys = [key for key in self._ids if key[0] == scope]
        return [self._ids.pop(key) for key in keys]


def _sse(value: Any, event_id: str | None) -> str:
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}data: {value if isinstance(value, str) else json.dumps(value)}\n\n"


async def ai_sdk(events: AsyncIterator[OutputEvent]) -> AsyncIterator[str]:
    """
    Frame events for the AI SDK (UI message stream, v1), as server-sent events.

    Send them with the header `x-vercel-ai-ui-message-stream: v1`. A part of type `data-reset` has
    the ids of parts to drop.
    """
    opened = Opened()
    yield _sse({"type": "start"}, None)
    async for event in events:
        match event:
            case OutputItem():
                for part in _ai_sdk_parts(event, *opened.id_of(event)):
                    yield _sse(part, event.id)
            case OutputReset(scope=scope):
                dropped = {"type": "data-reset", "data": {"ids": opened.drop(scope)}}
                yield _sse({**dropped, "transient": True}, event.id)
            case OutputEnd(state=state):
                if state != "succeeded":
                    yield _sse({"type": "error", "errorText": f"the run {state}"}, event.id)
                yield _sse({"type": "finish"}, event.id)
                yield _sse("[DONE]", None)
                return


#: what the AI SDK calls the parts of an answer
_AI_SDK = {"text": "text", "thinking": "reasoning"}


def _ai_sdk_parts(item: OutputItem, part: str, is_new: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001  a pair
    piece: Piece = item.data
    if piece["kind"] == "tool":
        if is_new:
            named = {"toolCallId": part, "toolName": piece.get("name", "")}
            yield {"type": "tool-input-start", **named}
        if piece.get("add"):
            yield {"type": "tool-input-delta", "toolCallId": part, "inputTextDelta": piece["add"]}
        return
    kind = _AI_SDK[piece["kind"]]
    if is_new:
        yield {"type": f"{kind}-start", "id": part}
    if piece.get("add"):
        yield {"type": f"{kind}-delta", "id": part, "delta": piece["add"]}
    if piece.get("end"):
        yield {"type": f"{kind}-end", "id": part}


async def ag_ui(
    events: AsyncIterator[OutputEvent], *, thread_id: str, run_id: str
) -> AsyncIterator[str]:
    """
    Frame events for AG-UI, as server-sent events.

    A CUSTOM event named `reset` has the ids of messages and tool calls to drop.
    """
    opened = Opened()
    run = {"threadId": thread_id, "runId": run_id}
    yield _sse({"type": "RUN_STARTED", **run}, None)
    async for event in events:
        match event:
            case OutputItem():
                for part in _ag_ui_events(event, *opened.id_of(event)):
                    yield _sse(part, event.id)
            case OutputReset(scope=scope):
                told = {"type": "CUSTOM", "name": "reset", "value": {"ids": opened.drop(scope)}}
                yield _sse(told, event.id)
            case OutputEnd(state="succeeded"):
                yield _sse({"type": "RUN_FINISHED", **run}, event.id)
                return
            case OutputEnd(state=state):
                yield _sse({"type": "RUN_ERROR", "message": f"the run {state}"}, event.id)
                return


#: what AG-UI calls the parts of an answer: the prefix of the types, that of a piece, the id's name
_AG_UI = {
    "text": ("TEXT_MESSAGE", "CONTENT", "messageId", {"role": "assistant"}),
    "thinking": ("REASONING_MESSAGE", "CONTENT", "messageId", {"role": "reasoning"}),
    "tool": ("TOOL_CALL", "ARGS", "toolCallId", {}),
}


def _ag_ui_events(item: OutputItem, part: str, is_new: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001  a pair
    piece: Piece = item.data
    prefix, added, name, more = _AG_UI[piece["kind"]]
    if is_new:
        tool = {"toolCallName": piece.get("name", "")} if piece["kind"] == "tool" else more
        yield {"type": f"{prefix}_START", name: part, **tool}
    if piece.get("add"):
        yield {"type": f"{prefix}_{added}", name: part, "delta": piece["add"]}
    if piece.get("end"):
        yield {"type": f"{prefix}_END", name: part}
