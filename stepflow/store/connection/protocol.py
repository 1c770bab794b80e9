"""
One connection on the loop, as long as it lasts.

Made, greeted, and looked at for signs of life.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from stepflow.store.calls import Part
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import Dialled, check_greeting, dial, greeting, unsent
from stepflow.store.connection.resp import encode_command, make_reader
from stepflow.store.connection.thread_calls import aside_async

OnLost = Callable[["Wire", Exception | None], None]


class Wire(asyncio.Protocol):
    """Bytes in, replies out to `on_reply`; *on_lost* is told when it ends, once it is greeted."""

    def __init__(self, on_lost: OnLost) -> None:
        self._reader = make_reader()
        self._loop = asyncio.get_running_loop()
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._unsent = 0
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.on_reply: Callable[[Any], None] = self._answer
        self.on_lost = on_lost
        #: the loop's time when bytes last came, or were asked for while nothing was owed
        self.heard_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        self.heard_at = self._loop.time()
        reader.feed(data)
        while True:
            reply = reader.gets()
            if reply is False:
                return
            self.on_reply(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        for asked in self._asked:
            if not asked.done():
                asked.set_exception(
                    exc or ConnectionError("the connection was lost while it was made")
                )
        self._asked.clear()
        self.on_lost(self, exc)

    def abort(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.abort()

    async def ask(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """
        Send commands and give their replies, errors as values.

        Before the connection is anybody's.
        """
        asked = [self._loop.create_future() for _ in commands]
        self._asked += asked
        self.transport.write(b"".join(encode_command(parts) for parts in commands))
        return list(await asyncio.gather(*asked))

    def _answer(self, reply: Any) -> None:
        asked = self._asked.popleft()
        if not asked.done():
            asked.set_result(reply)

    def silent_s(self) -> float:
        """Say for how long nothing has come, nor gone: what still leaves here is a sign of life."""
        left = self.transport.get_write_buffer_size() + unsent(
            self.transport.get_extra_info("socket")
        )
        if left < self._unsent:
            self.heard_at = self._loop.time()
        self._unsent = left
        return self._loop.time() - self.heard_at


async def open_wire(address: Address, name: str | None, on_lost: OnLost) -> Wire:
    """Connect and log in within the address's connect timeout; raises OSError, or RedisRefused."""
    loop = asyncio.get_running_loop()
    wire = Wire(on_lost)
    async with asyncio.timeout(address.times.connect_s):
        try:
            dialled = await aside_async(lambda: dial(address), drop=Dialled.close)
            await _adopt(loop, dialled, wire)
            check_greeting(address, await wire.ask(greeting(address, name)))
        except BaseException:
            wire.abort()
            raise
    return wire


async def _adopt(loop: asyncio.AbstractEventLoop, dialled: Dialled, wire: Wire) -> None:
    """Put the socket under the loop's care, TLS agreed on if there is any."""
    try:
        dialled.socket.setblocking(False)  # noqa: FBT003  the socket module's way
        if dialled.is_local:
            await loop.create_unix_connection(lambda: wire, sock=dialled.socket)
        else:
            server_hostname = None if dialled.tls is None else dialled.host
            await loop.create_connection(
                lambda: wire, sock=dialled.socket, ssl=dialled.tls, server_hostname=server_hostname
            )
    except BaseException:
        dialled.close()
        raise
