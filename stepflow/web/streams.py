"""Server-sent events: what a run emits, and what happens to it, as long as somebody reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse

from stepflow.core.events import Event
from stepflow.core.output import OutputEvent, OutputItem
from stepflow.errors import StepflowError
from stepflow.hooks.body import json_value
from stepflow.web.operation import Call
from stepflow.web.problems import document_of
from stepflow.web.reads import found
from stepflow.web.redact import redacted
from stepflow.web.tails import Tails
from stepflow.web.written import written

T = TypeVar("T")

MEDIA = "text/event-stream"
#: seconds without an event after which a comment says that the stream lives
COMMENT_S = 15.0
#: seconds after which a stream ends, so that its reader comes to whatever server is there by then
LASTS_S = 300.0
#: milliseconds after which a browser comes back
_RETRY_MS = 1000
#: proxies are to pass on each event at once
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Streams:
    """The streams that are open, so that a server that leaves can end them."""

    def __init__(self) -> None:
        self.output: Tails[OutputEvent] = Tails()
        self.events: Tails[Event] = Tails()
        self._open: set[asyncio.Event] = set()
        self._is_over = False

    @contextmanager
    def opened(self) -> Iterator[asyncio.Event]:
        """Give what is set when a stream is to end."""
        over = asyncio.Event()
        self._open.add(over)
        if self._is_over:
            over.set()
        try:
            yield over
        finally:
            self._open.discard(over)

    def end(self) -> None:
        """End all streams, those to come too, each with a last comment."""
        self._is_over = True
        for over in self._open:
            over.set()


async def output(call: Call) -> Response:
    """
    Read what a run emits, from the beginning or after an event, until it ends.

    Events are `output`, `reset`, `gap` and `end`, each with the id from which a later read goes on:
    in the header `Last-Event-ID`, which browsers send by themselves, or in `after`, which may be
    `latest`.
    """
    run, query, after = await found(call), call.query, _after(call)

    def read(after: str | None, *, live: bool = True) -> AsyncIterator[OutputEvent]:
        topics, committed = query.topic or None, query.committed
        return call.client.output(
            run.id, after=after, topics=topics, live=live, committed=committed
        )

    source = read(after)  # raises for what is no position
    if not query.committed and after != "latest":
        key = (run.id, frozenset(query.topic))
        source = call.streams.output.follow(key, read, after)
    return _streamed(call, source, lambda event: _write_output(call, event))


async def events(call: Call) -> Response:
    """
    Read what happens to a run, from its submit or after an event, until it ends.

    The name of each event is its type; its id is that from which a later read goes on.
    """
    run, after = await found(call), _after(call)

    def read(after: str | None, *, live: bool = True) -> AsyncIterator[Event]:
        return call.client.events(run.id, after=after, live=live)

    read(after)  # raises for what is no position
    source = call.streams.events.follow(run.id, read, after)
    return _streamed(call, source, lambda event: _write_event(call, event))


def _after(call: Call) -> str | None:
    """Say where a reader goes on: browsers repeat the query, so their header counts first."""
    last: str | None = call.request.headers.get("last-event-id") or call.query.after
    return last


def _streamed(call: Call, source: AsyncIterator[T], write: Callable[[T], bytes]) -> Response:
    if call.request.method == "HEAD":
        return Response(headers=_HEADERS, media_type=MEDIA)
    parts = _parts(call.streams, source, write)
    return StreamingResponse(parts, headers=_HEADERS, media_type=MEDIA)


async def _parts(
    streams: Streams, source: AsyncIterator[T], write: Callable[[T], bytes]
) -> AsyncIterator[bytes]:
    """Write each event as it comes, and comments in between."""
    until = asyncio.get_running_loop().time() + LASTS_S
    with streams.opened() as over:
        leaving = asyncio.ensure_future(over.wait())
        coming = asyncio.ensure_future(_next(source))
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode()
            while not over.is_set():
                left = until - asyncio.get_running_loop().time()
                if left <= 0:
                    yield b": come back for more\n\n"
                    return
                await asyncio.wait(
                    {coming, leaving},
                    timeout=min(left, COMMENT_S),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if coming.done():
                    try:
                        event = coming.result()
                    except StepflowError as error:
                        yield _written("problem", None, document_of(error))
                        return
                    if event is None:
                        return
                    yield write(event)
                    coming = asyncio.ensure_future(_next(source))
                elif not leaving.done() and left > COMMENT_S:
                    yield b": nothing new\n\n"
            yield b": this server leaves; come back\n\n"
        finally:
            leaving.cancel()
            coming.cancel()
            coming.add_done_callback(_forget)


def _forget(read: asyncio.Future[Any]) -> None:
    """Take what came of a look that nobody waits for any more."""
    if not read.cancelled():
        read.exception()


async def _next(source: AsyncIterator[T]) -> T | None:
    """Give the next event; None after the last one."""
    return await anext(source, None)


def _write_output(call: Call, event: OutputEvent) -> bytes:
    document = json_value({"event": event.kind, **asdict(event)})
    if isinstance(event, OutputItem):
        document["data"] = redacted(call.redact, "output", document["data"])
    return _written(event.kind, event.id, document)


def _write_event(call: Call, event: Event) -> bytes:
    known = {"id", "event", "run", "runner", "at"}
    document = {
        name: part if name in known else redacted(call.redact, "event", part, (name,))
        for name, part in json_value(event.as_dict()).items()
    }
    return _written(str(event.type), event.id, document)


def _written(kind: str, event_id: str | None, document: Any) -> bytes:
    head = f"event: {kind}\n" if event_id is None else f"event: {kind}\nid: {event_id}\n"
    return head.encode() + b"data: " + written(document) + b"\n\n"
