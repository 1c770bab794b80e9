"""The connections of one worker."""

from __future__ import annotations

import asyncio
from typing import Self

from stepflow.settings import Settings
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncConnection
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.sync import SyncConnection
from stepflow.worker.fetcher import BLOCK_S


def renewing_link(address: Address, lease_s: float) -> SyncConnection:
    """
    Make the link that claims are renewed over.

    They are in time although a connection of it went silent.
    """
    third_s = lease_s / 3
    return SyncConnection.to(address, retry_for_s=third_s, patience_s=min(PATIENCE_S, third_s / 2))


class WorkerConnections:
    """
    The connections of one worker.

    For everything, for each feed to block on, to listen with, to renew over.
    """

    def __init__(self, address: Address, name: str, settings: Settings) -> None:
        open_s, silence_s = address.times.budget_s, address.times.reply_s
        self.main = AsyncConnection(address, name=name, open_for_s=open_s)
        # blocked for BLOCK_S at most: one that is silent for longer is looked after, or nobody
        # would wake this worker
        self.wakes = [
            AsyncConnection(
                address, name=f"{name}-wait", open_for_s=open_s, patience_s=BLOCK_S + PATIENCE_S,
                reply_timeout_s=BLOCK_S + max(PATIENCE_S, silence_s),
            )
            for _ in range(2)
        ]  # fmt: skip
        self.listener = Listener(address)
        self.main.on_silent = self._renew_all
        self.renewing = renewing_link(address, settings.worker.lease_s)

    def _renew_all(self) -> None:
        """Where one connection was dead without a word, those beside it are not trusted."""
        for wake in self.wakes:
            wake.renew()
        self.listener.renew()

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
