"""
A fake OpenAI-compatible server on loopback: `/v1/chat/completions`, whole or streamed.

    with FakeOpenAI(Text("hello"), TooMany(retry_after_s=1)) as server:
        AsyncOpenAI(base_url=server.url, api_key="none")

Each request takes the next reply; the last one is given again and again. A function stands for a
reply as well, and makes it of the request's body: what a model would say, however often it is
asked. Threads serve it, in the process of the test; workers in other processes get `server.url`.

What it saw: `calls`, in the order in which they came; `billed`, the tokens of all calls as
(input, output), in words, those of streams as far as they were sent. `stop()` marks now as the
moment of a stop: `sent_after_stop` counts the bytes that went out later. `wait_for(claim)` waits
until *claim* holds. A reply with `hold=True` stands still before its last word until `release()`.
"""

from __future__ import annotations

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any, Self

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Text:
    """An answer, streamed word by word, *pace_s* apart."""

    text: str
    pace_s: float = 0.0
    hold: bool = False
    #: "length" says that it was cut off by max_tokens
    finish: str = "stop"
    #: break the connection after so many words
    cut_after: int | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """An answer of *count* words, streamed *pace_s* apart; *make* says each when it is sent."""

    count: int
    make: Callable[[], str]
    pace_s: float = 0.0
    finish: str = "stop"
    cut_after: None = None


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """Calls of tools, each a name and its arguments, as a dict or as the text that a model sent."""

    calls: tuple[tuple[str, dict[str, Any] | str], ...]
    hold: bool = False

    def as_json(self, serial: int) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{serial}_{index}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": given if isinstance(given, str) else json.dumps(given),
                },
            }
            for index, (name, given) in enumerate(self.calls)
        ]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of the API; it bills nothing."""

    status: int
    code: str
    message: str = "no"
    retry_after_s: float | None = None
    hold: bool = False


def TooMany(retry_after_s: float | None = None, code: str = "rate_limit_exceeded") -> Refusal:  # noqa: N802  reads as the others do
    """429; `code="insufficient_quota"` is the one that no waiting helps."""
    return Refusal(429, code, retry_after_s=retry_after_s)


def Overloaded() -> Refusal:  # noqa: N802  as above
    """503, as an API says it that has too much to do."""
    return Refusal(503, "overloaded")


def PromptTooLong() -> Refusal:  # noqa: N802  as above
    """400: the prompt does not fit into the model's context."""
    return Refusal(400, "context_length_exceeded", "This model's maximum context length is 8 words")


Reply = Text | Words | ToolCalls | Refusal
Source = Reply | Callable[[dict[str, Any]], Reply]


@dataclass(slots=True)
class Call:
    """One request: what came, what it cost, and when the caller had gone (monotonic seconds)."""

    body: dict[str, Any]
    headers: dict[str, str]
    input: int = 0
    output: int = 0
    gone_at: float | None = None
    is_over: bool = False


@dataclass(slots=True)
class _State:
    replies: Iterator[Source]
    calls: list[Call] = field(default_factory=list)
    stopped_at: float | None = None
    sent_after_stop: int = 0
    change: threading.Condition = field(default_factory=threading.Condition)
    released: threading.Event = field(default_factory=threading.Event)


class FakeOpenAI:
    """The server; see the top of the file."""

    def __init__(self, *replies: Source) -> None:
        self._state = _State(_endless(replies or (Text("hello"),)))
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.state = self._state
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def calls(self) -> list[Call]:
        return self._state.calls

    @property
    def billed(self) -> tuple[int, int]:
        """The tokens of all calls, (input, output)."""
        return sum(call.input for call in self.calls), sum(call.output for call in self.calls)

    @property
    def sent_after_stop(self) -> int:
        return self._state.sent_after_stop

    def reply(self, *replies: Source) -> None:
        """Give these from now on."""
        self._state.replies = _endless(replies)

    def stop(self) -> float:
        """Mark now, and return it, in monotonic seconds."""
        self._state.stopped_at = time.monotonic()
        return self._state.stopped_at

    def release(self) -> None:
        """Let go of the replies that are held, and hold none any more."""
        self._state.released.set()

    def wait_for(self, claim: Callable[[], Any]) -> None:
        """Block until *claim* holds, which is asked after each change; call it in a thread."""
        with self._state.change:
            assert self._state.change.wait_for(claim, PATIENCE_S), self.calls


def _endless(replies: tuple[Source, ...]) -> Iterator[Source]:
    return chain(replies, iter(lambda: replies[-1], None))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    state: _State

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: callers that go away are what tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # else the second of two small writes waits for the first one's acknowledgement
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, *args: Any) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state = self.server.state
        call = Call(body, dict(self.headers))
        with state.change:
            source = next(state.replies)
            state.calls.append(call)
            serial = len(state.calls)
            state.change.notify_all()
        reply = source(body) if callable(source) else source
        try:
            self._answer(call, reply, serial)
        except OSError:
            call.gone_at = call.gone_at or time.monotonic()
            self.close_connection = True
        with state.change:
            call.is_over = True
            state.change.notify_all()

    def _answer(self, call: Call, reply: Reply, serial: int) -> None:
        if isinstance(reply, Refusal):
            self._hold(call, reply)
            self._refuse(reply)
            return
        call.input = sum(len(str(m.get("content") or "").split()) for m in call.body["messages"])
        if call.body.get("stream") or isinstance(reply, Words):
            self._stream(call, reply, serial)
        else:
            self._whole(call, reply, serial)

    def _refuse(self, reply: Refusal) -> None:
        wait = () if reply.retry_after_s is None else (("Retry-After", str(reply.retry_after_s)),)
        error = {"message": reply.message, "type": reply.code, "code": reply.code, "param": None}
        self._send_json(reply.status, {"error": error}, wait)

    def _whole(self, call: Call, reply: Text | ToolCalls, serial: int) -> None:
        self._hold(call, reply)
        if isinstance(reply, Text):
            said: dict[str, Any] = {"role": "assistant", "content": reply.text}
            call.output, finish = len(reply.text.split()), reply.finish
        else:
            said = {"role": "assistant", "content": None, "tool_calls": reply.as_json(serial)}
            call.output, finish = len(reply.calls), "tool_calls"
        choice = {"index": 0, "message": said, "finish_reason": finish, "logprobs": None}
        is_cut = isinstance(reply, Text) and reply.cut_after is not None
        self._send_json(
            200,
            _envelope(serial, "chat.completion", choices=[choice], usage=_usage(call)),
            is_cut=is_cut,
        )

    def _send_json(
        self, status: int, value: Any, headers: Any = (), *, is_cut: bool = False
    ) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        if is_cut:
            self._write(data[: len(data) // 2])
            self._cut()
            return
        self._write(data)

    def _stream(self, call: Call, reply: Text | Words | ToolCalls, serial: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        finish = "tool_calls" if isinstance(reply, ToolCalls) else reply.finish
        for delta in self._deltas(call, reply, serial):
            self._event(serial, choices=[{"index": 0, "delta": delta, "finish_reason": None}])
            call.output += 1
            with self.server.state.change:
                self.server.state.change.notify_all()
        if isinstance(reply, Text) and reply.cut_after is not None:
            self._cut()
            return
        self._event(serial, choices=[{"index": 0, "delta": {}, "finish_reason": finish}])
        if (call.body.get("stream_options") or {}).get("include_usage"):
            self._event(serial, choices=[], usage=_usage(call))
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _deltas(
        self, call: Call, reply: Text | Words | ToolCalls, serial: int
    ) -> Iterator[dict[str, Any]]:
        if isinstance(reply, Words):
            for _ in range(reply.count):
                self._wait(call, reply.pace_s)
                yield {"role": "assistant", "content": reply.make()}
            return
        if isinstance(reply, ToolCalls):
            self._hold(call, reply)
            for index, made in enumerate(reply.as_json(serial)):
                yield {"role": "assistant", "tool_calls": [{"index": index, **made}]}
            return
        words = reply.text.split()[: reply.cut_after]
        for index, word in enumerate(words):
            if index == len(words) - 1:
                self._hold(call, reply)
            self._wait(call, reply.pace_s)
            yield {"role": "assistant", "content": word if index == 0 else f" {word}"}

    def _event(self, serial: int, **parts: Any) -> None:
        data = json.dumps(_envelope(serial, "chat.completion.chunk", **parts))
        self._chunk(b"data: %b\n\n" % data.encode())

    def _chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def _write(self, data: bytes) -> None:
        state = self.server.state
        is_late = state.stopped_at is not None
        self.wfile.write(data)
        if is_late:
            state.sent_after_stop += len(data)

    def _cut(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _hold(self, call: Call, reply: Reply) -> None:
        while reply.hold and not self.server.state.released.is_set():
            self._wait(call, 0.005)

    def _wait(self, call: Call, pause_s: float) -> None:
        """Wait, and learn at once that the caller has gone: it sends nothing while it reads."""
        if select.select([self.connection], [], [], pause_s)[0]:
            call.gone_at = time.monotonic()
            raise ConnectionAbortedError


def _envelope(serial: int, kind: str, **parts: Any) -> dict[str, Any]:
    return {"id": f"chatcmpl-{serial}", "object": kind, "created": 0, "model": "fake", **parts}


def _usage(call: Call) -> dict[str, int]:
    return {
        "prompt_tokens": call.input,
        "completion_tokens": call.output,
        "total_tokens": call.input + call.output,
    }
