"""
A webhook receiver for tests: a real HTTP server on a port of its own that does as it is told and
keeps what it got.

    async with Receiver(reply(503), reply(200)) as receiver:   # the last behaviour is kept up
        ... deliver to receiver.url ...
        await receiver.arrived(2)
        assert receiver.got[0].verified(secret)["type"] == "run.succeeded"
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import standardwebhooks


@dataclass(frozen=True, slots=True)
class Received:
    """One request, its header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:
        """
        Give the body as JSON once its signature and time are found right; raises
        WebhookVerificationError.
        """
        standardwebhooks.Webhook(secret).verify(self.body, dict(self.headers), json_parse=False)
        return json.loads(self.body)


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reply(
    status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Behaviour:
    """Answer with *status*."""

    async def behave(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        await writer.drain()

    return behave


async def silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Answer nothing for as long as the caller stays."""
    await reader.read()


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection without an answer."""
    writer.close()


async def gibberish(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer what is not HTTP, with words that a careless caller would log."""
    writer.write(b"whsec_echo is not HTTP\r\n\r\n")
    await writer.drain()


async def chatter(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer "go on" for ever: something keeps arriving, but never the end of it."""
    while not writer.is_closing():
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200, then begin a body that does not end."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await writer.drain()
    await reader.read()


class Receiver:
    """Serves on 127.0.0.1; each connection takes the next behaviour, the last one stays."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self._behaviours = list(behaviours or [reply(200)])
        self._tls = tls
        self._news = asyncio.Condition()
        self._visits: set[asyncio.Task[None]] = set()
        self.got: list[Received] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        """Say where to deliver."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/hook"

    async def arrived(self, count: int) -> list[Received]:
        """Wait until *count* requests have come and give them all."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.got) >= count)
        return self.got

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)
        await self._server.wait_closed()

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        visit = asyncio.create_task(self._serve(reader, writer))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await self._keep(await _read(reader))
                    behave = (
                        self._behaviours.pop(0)
                        if len(self._behaviours) > 1
                        else self._behaviours[0]
                    )
                    await behave(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _keep(self, received: Received) -> None:
        async with self._news:
            self.got.append(received)
            self._news.notify_all()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    first, *lines = head.strip().split("\r\n")
    method, path, _version = first.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    return Received(
        method, path, headers, await reader.readexactly(int(headers.get("content-length", "0")))
    )


def unused_port() -> int:
    """Give a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
