"""Notifications: one connection that listens to channels, and listens again after it was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from stepflow.store.address import Address
from stepflow.store.resp import ReplyError, pack
from stepflow.store.wire import Wire

log = logging.getLogger("stepflow.link")

#: seconds between tries to connect again; a message missed meanwhile is found by the safety nets of those who wait
_AGAIN_S = 0.5

Heard = Callable[[str], None]


class Listener:
    """
    Subscribes to channels and calls back with each message, on the loop's thread.

    A message may be missed while the connection is down: whoever listens keeps a slower way to the same news.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._heard: dict[str, list[Heard]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._wire: Wire | None = None
        self._closed = False
        self._connecting: asyncio.Task[None] | None = None

    async def subscribe(self, channel: str, heard: Heard) -> None:
        """Call *heard* with each message on *channel*; returns once the server has confirmed it, or has no connection."""
        loop = asyncio.get_running_loop()
        self._heard.setdefault(channel, []).append(heard)
        confirmed = self._confirmed.setdefault(channel, loop.create_future())
        if self._wire is None:
            if self._connecting is None or self._connecting.done():
                self._connecting = loop.create_task(self._connect())
        elif not confirmed.done():
            self._send("SUBSCRIBE", channel)
        await asyncio.wait([confirmed], timeout=5.0)

    def unsubscribe(self, channel: str, heard: Heard) -> None:
        """Stop calling *heard*."""
        listeners = self._heard.get(channel, [])
        if heard in listeners:
            listeners.remove(heard)
        if not listeners and self._heard.pop(channel, None) is not None:
            confirmed = self._confirmed.pop(channel, None)
            if confirmed is not None and not confirmed.done():
                confirmed.cancel()
            self._send("UNSUBSCRIBE", channel)

    async def close(self) -> None:
        """Drop the connection."""
        self._closed = True
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.abort()

    def _send(self, *command: str) -> None:
        if self._wire is not None and self._wire.transport is not None:
            self._wire.transport.write(pack(command))

    async def _connect(self) -> None:
        while not self._closed:
            wire = Wire(self._on_reply, self._on_lost)
            try:
                await self._open(wire)
            except OSError as error:
                log.debug("cannot listen to %s yet (%s)", self._address.shown, error)
                await asyncio.sleep(_AGAIN_S)
                continue
            self._wire = wire
            for command in self._address.handshake(None):
                self._send(*command)
            for channel in self._heard:
                self._send("SUBSCRIBE", channel)
            return

    async def _open(self, wire: Wire) -> None:
        loop, address = asyncio.get_running_loop(), self._address
        if address.path is not None:
            await loop.create_unix_connection(lambda: wire, address.path)
        else:
            await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.ssl_context())

    def _on_lost(self, wire: Wire, error: Exception | None) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        if not self._closed:
            log.debug("the listening connection was lost (%s)", error)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _on_reply(self, reply: Any) -> None:
        if isinstance(reply, ReplyError):
            # a user without the right to the channel: whoever listens has its slower way, and must not wait for this one
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
            for heard in list(self._heard.get(name, ())):
                heard(data.decode())
