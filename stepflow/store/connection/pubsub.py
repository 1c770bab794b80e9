"""Pub/sub: one connection that listens to channels, is pinged, and reconnects when lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from stepflow.errors import RedisRefused
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.protocol import RedisProtocol, open_connection
from stepflow.store.connection.resp import ReplyError, encode_command

log = logging.getLogger("stepflow.connection")

#: seconds between attempts to reconnect; callers poll as well, for messages missed meanwhile
_RECONNECT_S = 0.5
#: seconds between checks of the connection, and seconds of silence after which it is pinged
_LOOK_S, _SILENT_S = 1.0, 3.0

OnMessage = Callable[[str], None]


class Listener:
    """
    Subscribes to channels and calls back with each message, on the loop's thread.

    Messages published while the connection is down are lost, so callers must poll as well. Without
    channels it sends nothing.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._callbacks: dict[str, list[OnMessage]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._protocol: RedisProtocol | None = None
        self._closed = False
        self._connecting: asyncio.Task[None] | None = None
        self._looking: asyncio.TimerHandle | None = None
        #: the loop's time when a ping was sent that has not been answered
        self._asked_at: float | None = None

    async def subscribe(self, channel: str, on_message: OnMessage) -> None:
        """
        Call *on_message* with the text of each message on *channel*.

        Returns when the server has confirmed or refused the subscription, or after 5
        seconds; without a connection the subscription starts when there is one.
        """
        loop = asyncio.get_running_loop()
        self._callbacks.setdefault(channel, []).append(on_message)
        confirmed = self._confirmed.setdefault(channel, loop.create_future())
        if self._protocol is None:
            if self._connecting is None or self._connecting.done():
                self._connecting = loop.create_task(self._connect())
        elif not confirmed.done():
            self._send("SUBSCRIBE", channel)
            self._asked_at = self._asked_at or loop.time()
        if self._looking is None:
            self._looking = loop.call_later(_LOOK_S, self._look)
        await asyncio.wait([confirmed], timeout=5.0)

    def unsubscribe(self, channel: str, on_message: OnMessage) -> None:
        """Stop calling *on_message*."""
        listeners = self._callbacks.get(channel, [])
        if on_message in listeners:
            listeners.remove(on_message)
        if not listeners and self._callbacks.pop(channel, None) is not None:
            confirmed = self._confirmed.pop(channel, None)
            if confirmed is not None and not confirmed.done():
                confirmed.cancel()
            self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """Close the connection and stop reconnecting."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._protocol is not None:
            self._protocol.abort()

    def drop(self) -> None:
        """Close the socket; for one whose loop was closed before it."""
        self._closed = True
        if self._protocol is not None:
            self._protocol.drop()
            self._protocol = None

    def renew(self) -> None:
        """
        Move to a fresh connection as soon as one is open.

        Call it when another connection of the same age turned out to be dead.
        """
        if (
            self._protocol is not None
            and not self._closed
            and (self._connecting is None or self._connecting.done())
        ):
            self._connecting = asyncio.get_running_loop().create_task(
                self._replace(self._protocol, is_dead=True)
            )

    def _send(self, *command: str) -> None:
        if self._protocol is not None:
            self._protocol.transport.write(encode_command(command))

    async def _connect(self) -> None:
        while not self._closed:
            try:
                protocol = await open_connection(self._address, None, self._on_lost)
            except (OSError, RedisRefused) as error:
                log.debug("cannot listen to %s yet (%s)", self._address.shown, error)
                await asyncio.sleep(_RECONNECT_S)
            else:
                self._listen_over(protocol)
                return

    def _listen_over(self, protocol: RedisProtocol) -> None:
        """Subscribe *protocol* to every channel and close the previous connection."""
        before, self._protocol = self._protocol, protocol
        self._asked_at = None
        protocol.on_reply = partial(self._on_reply, protocol)
        for channel in self._callbacks:
            self._send("SUBSCRIBE", channel)
        if before is not None:
            before.abort()
        if protocol.transport.is_closing():
            self._on_lost(protocol, None)

    async def _replace(self, protocol: RedisProtocol, *, is_dead: bool = False) -> None:
        """Open a second connection and move to it, unless *protocol* is active meanwhile."""
        last_activity_at = protocol.last_activity_at
        try:
            fresh = await open_connection(self._address, None, self._on_lost)
        except (OSError, RedisRefused):
            return
        if (
            self._closed
            or self._protocol is not protocol
            or (protocol.last_activity_at != last_activity_at and not is_dead)
        ):
            fresh.abort()
        else:
            log.info(
                "the listening connection to %s was dead; listening over a new one",
                self._address.shown,
            )
            self._listen_over(fresh)

    def _look(self) -> None:
        """Ping a silent connection, and replace one that does not answer the ping."""
        self._looking = None
        if not self._callbacks or self._closed:
            return
        loop, protocol = asyncio.get_running_loop(), self._protocol
        self._looking = loop.call_later(_LOOK_S, self._look)
        if protocol is None or protocol.silent_s() < min(_SILENT_S, PATIENCE_S):
            self._asked_at = None
        elif self._asked_at is None and protocol.silent_s() >= _SILENT_S:
            self._asked_at = loop.time()
            self._send("PING")
        elif (
            self._asked_at is not None
            and loop.time() - self._asked_at >= PATIENCE_S
            and (self._connecting is None or self._connecting.done())
        ):
            self._connecting = loop.create_task(self._replace(protocol))

    def _on_lost(self, protocol: RedisProtocol, error: Exception | None) -> None:
        if protocol is not self._protocol:
            return
        self._protocol = None
        if not self._closed:
            log.debug("the listening connection was lost (%s)", error)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _on_reply(self, protocol: RedisProtocol, reply: Any) -> None:
        if protocol is not self._protocol:
            return
        if isinstance(reply, ReplyError):
            # this Redis user may not use the channel: callers poll, and must not wait here
            log.debug("not listening at %s (%s)", self._address.shown, reply)
            for asked in self._confirmed.values():
                if not asked.done():
                    asked.set_result(None)
            return
        if not isinstance(reply, list) or len(reply) != 3:  # noqa: PLR2004
            return
        kind, channel, data = reply
        name = channel.decode()
        if kind == b"subscribe":
            confirmed = self._confirmed.get(name)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
        elif kind == b"message":
            for on_message in list(self._callbacks.get(name, ())):
                on_message(data.decode())
