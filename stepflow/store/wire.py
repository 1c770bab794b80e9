"""One connection of the async link, as long as it lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from stepflow.store.resp import make_reader


class Wire(asyncio.Protocol):
    """Bytes in, replies out to whoever is first in line."""

    def __init__(self, on_reply: Callable[[Any], None], on_lost: Callable[[Wire, Exception | None], None]) -> None:
        self._reader = make_reader()
        self._on_reply = on_reply
        self._on_lost = on_lost
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, on_reply = self._reader, self._on_reply
        reader.feed(data)
        while True:
            reply = reader.gets()
            if reply is False:
                return
            on_reply(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._on_lost(self, exc)
