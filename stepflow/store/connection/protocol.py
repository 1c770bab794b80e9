"""
One asyncio connection to Redis: opened, greeted, and watched for signs of life.

It does not reconnect; `reconnecting.py` and `pubsub.py` do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

from stepflow.store.calls import Part
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import (
    DialledSocket,
    check_greeting,
    dial,
    greeting,
    unsent,
)
from stepflow.store.connection.loading import LoadedScripts
from stepflow.store.connection.resp import encode_command, make_reader
from stepflow.store.connection.thread_calls import await_in_thread

OnLost = Callable[["RedisProtocol", Exception | None], None]


class RedisProtocol(asyncio.Protocol):
    """
    Parses incoming bytes and passes each reply to `on_reply`.

    Calls *on_lost* once, when the connection ends, with the error or None.
    """

    def __init__(self, on_lost: OnLost) -> None:
        self._reader = make_reader()
        self._loop = asyncio.get_running_loop()
        self._replies_due: deque[asyncio.Future[Any]] = deque()
        self._unsent = 0
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.on_reply: Callable[[Any], None] = self._answer
        self.on_lost = on_lost
        self.loaded: LoadedScripts = {}
        #: the loop's time when bytes last arrived, or when a call was sent while no reply was due
        self.last_activity_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        self.last_activity_at = self._loop.time()
        reader.feed(data)
        while True:
            reply = reader.gets()
            if reply is False:
                return
            self.on_reply(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in self._replies_due:
            if not future.done():
                future.set_exception(
                    exc or ConnectionError("the connection was lost while it was made")
                )
        self._replies_due.clear()
        self.on_lost(self, exc)

    def abort(self) -> None:
        """Close the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def drop(self) -> None:
        """Close the socket of a connection whose loop is closed: no transport can do that then."""
        sock = getattr(self.transport, "_sock", None)
        if sock is not None:
            sock.close()
            self.transport._sock = None  # type: ignore[attr-defined]  # noqa: SLF001  else it warns

    async def ask(self, commands: Sequence[Sequence[Part]]) -> list[Any]:
        """
        Send commands and return their replies, error replies as ReplyError values.

        Only for the greeting, before `on_reply` is replaced.
        """
        futures = [self._loop.create_future() for _ in commands]
        self._replies_due += futures
        self.transport.write(b"".join(encode_command(parts) for parts in commands))
        return list(await asyncio.gather(*futures))

    def _answer(self, reply: Any) -> None:
        future = self._replies_due.popleft()
        if not future.done():
            future.set_result(reply)

    def silent_s(self) -> float:
        """Return for how many seconds no bytes have arrived and none that we sent have left."""
        left = self.transport.get_write_buffer_size() + unsent(
            self.transport.get_extra_info("socket")
        )
        if left < self._unsent:
            self.last_activity_at = self._loop.time()
        self._unsent = left
        return self._loop.time() - self.last_activity_at


async def open_connection(address: Address, name: str | None, on_lost: OnLost) -> RedisProtocol:
    """Connect and log in within the address's connect timeout; raises OSError or RedisRefused."""
    loop = asyncio.get_running_loop()
    protocol = RedisProtocol(on_lost)
    async with asyncio.timeout(address.times.connect_s):
        try:
            dialled = await await_in_thread(lambda: dial(address), drop=DialledSocket.close)
            await _adopt(loop, dialled, protocol)
            check_greeting(address, await protocol.ask(greeting(address, name)))
        except BaseException:
            protocol.abort()
            raise
    return protocol


async def _adopt(
    loop: asyncio.AbstractEventLoop, dialled: DialledSocket, protocol: RedisProtocol
) -> None:
    """Hand the socket to the loop, with a TLS handshake if TLS is on."""
    try:
        dialled.sock.setblocking(False)  # noqa: FBT003  the socket module's way
        if dialled.is_local:
            await loop.create_unix_connection(lambda: protocol, sock=dialled.sock)
        else:
            server_hostname = None if dialled.tls is None else dialled.host
            await loop.create_connection(
                lambda: protocol,
                sock=dialled.sock,
                ssl=dialled.tls,
                server_hostname=server_hostname,
            )
    except BaseException:
        dialled.close()
        raise
