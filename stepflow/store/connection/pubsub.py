"""
Notifications: one connection that listens to channels, is asked for signs of life, and is made
again after it was lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from stepflow.errors import RedisRefused
from stepflow.store.connection.address import Address
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.protocol import Wire, open_wire
from stepflow.store.connection.resp import ReplyError, encode_command

log = logging.getLogger("stepflow.link")

#: seconds between tries to connect again; a message missed meanwhile is found by the safety nets of
#: those who wait
_AGAIN_S = 0.5
#: seconds between two looks at the connection, and of silence after which it is asked for a sign of
#: life
_LOOK_S, _SILENT_S = 1.0, 3.0

Heard = Callable[[str], None]


class Listener:
    """
    Subscribes to channels and calls back with each message, on the loop's thread.

    A message may be missed while the connection is down: whoever listens keeps a slower way to the
    same news. Without channels nothing is sent.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._heard: dict[str, list[Heard]] = {}
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._wire: Wire | None = None
        self._closed = False
        self._connecting: asyncio.Task[None] | None = None
        self._looking: asyncio.TimerHandle | None = None
        #: the loop's time when the connection was asked for a sign of life that has not come
        self._asked_at: float | None = None

    async def subscribe(self, channel: str, heard: Heard) -> None:
        """
        Call *heard* with each message on *channel*.

        Returns once the server has confirmed it, or has no connection.
        """
        loop = asyncio.get_running_loop()
        self._heard.setdefault(channel, []).append(heard)
        confirmed = self._confirmed.setdefault(channel, loop.create_future())
        if self._wire is None:
            if self._connecting is None or self._connecting.done():
                self._connecting = loop.create_task(self._connect())
        elif not confirmed.done():
            self._send("SUBSCRIBE", channel)
            self._asked_at = self._asked_at or loop.time()
        if self._looking is None:
            self._looking = loop.call_later(_LOOK_S, self._look)
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
        if self._looking is not None:
            self._looking.cancel()
        if self._connecting is not None and not self._connecting.done():
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self._wire is not None:
            self._wire.abort()

    def renew(self) -> None:
        """
        Listen over a fresh connection as soon as there is one.

        Another of the same age was dead.
        """
        if (
            self._wire is not None
            and not self._closed
            and (self._connecting is None or self._connecting.done())
        ):
            self._connecting = asyncio.get_running_loop().create_task(
                self._replace(self._wire, is_dead=True)
            )

    def _send(self, *command: str) -> None:
        if self._wire is not None:
            self._wire.transport.write(encode_command(command))

    async def _connect(self) -> None:
        while not self._closed:
            try:
                wire = await open_wire(self._address, None, self._on_lost)
            except (OSError, RedisRefused) as error:
                log.debug("cannot listen to %s yet (%s)", self._address.shown, error)
                await asyncio.sleep(_AGAIN_S)
            else:
                self._listen_over(wire)
                return

    def _listen_over(self, wire: Wire) -> None:
        """Have this connection subscribed to everything, and let go of the one before."""
        before, self._wire = self._wire, wire
        self._asked_at = None
        wire.on_reply = partial(self._on_reply, wire)
        for channel in self._heard:
            self._send("SUBSCRIBE", channel)
        if before is not None:
            before.abort()
        if wire.transport.is_closing():
            self._on_lost(wire, None)

    async def _replace(self, wire: Wire, *, is_dead: bool = False) -> None:
        """
        Make a connection beside a silent one and listen over it, unless that speaks meanwhile.
        """
        heard_at = wire.heard_at
        try:
            fresh = await open_wire(self._address, None, self._on_lost)
        except (OSError, RedisRefused):
            return
        if self._closed or self._wire is not wire or (wire.heard_at != heard_at and not is_dead):
            fresh.abort()
        else:
            log.info(
                "the listening connection to %s was dead; listening over a new one",
                self._address.shown,
            )
            self._listen_over(fresh)

    def _look(self) -> None:
        """
        Ask a silent connection for a sign of life, and make another beside one that gives none.
        """
        self._looking = None
        if not self._heard or self._closed:
            return
        loop, wire = asyncio.get_running_loop(), self._wire
        self._looking = loop.call_later(_LOOK_S, self._look)
        if wire is None or wire.silent_s() < min(_SILENT_S, PATIENCE_S):
            self._asked_at = None
        elif self._asked_at is None and wire.silent_s() >= _SILENT_S:
            self._asked_at = loop.time()
            self._send("PING")
        elif (
            self._asked_at is not None
            and loop.time() - self._asked_at >= PATIENCE_S
            and (self._connecting is None or self._connecting.done())
        ):
            self._connecting = loop.create_task(self._replace(wire))

    def _on_lost(self, wire: Wire, error: Exception | None) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        if not self._closed:
            log.debug("the listening connection was lost (%s)", error)
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    def _on_reply(self, wire: Wire, reply: Any) -> None:
        if wire is not self._wire:
            return
        if isinstance(reply, ReplyError):
            # a user without the right to the channel: whoever listens has its slower way, and must
            # not wait for this one
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
