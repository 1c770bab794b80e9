"""The connections of one worker."""

from __future__ import annotations

import asyncio
from typing import Self

from stepflow.engine.feed import BLOCK_S
from stepflow.settings import Settings
from stepflow.store.address import Address
from stepflow.store.link import BlockingLink
from stepflow.store.listener import Listener
from stepflow.store.stream import AsyncLink


class Links:
    """The connections of one worker: for everything, for each feed to block on, to listen with, to renew over."""

    def __init__(self, address: Address, name: str, settings: Settings) -> None:
        silence_s = settings.redis.reply_timeout_s
        open_s = settings.redis.retry_for_s
        self.main = AsyncLink(address, name=name, open_for_s=open_s, reply_timeout_s=silence_s)
        # blocked for BLOCK_S at most: a connection that stays silent for longer is dead, and nobody would wake this worker
        blocked_s = BLOCK_S + min(silence_s, BLOCK_S)
        self.wakes = [
            AsyncLink(address, name=f"{name}-wait", open_for_s=open_s, reply_timeout_s=blocked_s) for _ in range(2)
        ]
        self.listener = Listener(address)
        # a silent connection must not keep claims from being renewed over another one in time
        renewal_s = min(silence_s, max(1.0, settings.worker.lease_s / 3))
        self.renewing = BlockingLink.to(address, retry_for_s=1.0, reply_timeout_s=renewal_s)

    async def __aenter__(self) -> Self:
        try:
            await asyncio.gather(self.main.open(), *(wake.open() for wake in self.wakes))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.listener.close()
        for link in (*self.wakes, self.main):
            await link.close()
        self.renewing.close()
