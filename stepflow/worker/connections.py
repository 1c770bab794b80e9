"""The connections of one worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.settings import Settings
from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncCaller, AsyncConnection, carry_out
from stepflow.store.connection.dial import PATIENCE_S
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.durability.level import UNCONFIRMED, Durability
from stepflow.worker.fetcher import BLOCK_S

log = logging.getLogger("stepflow.worker")


def renewing_connection(address: Address, lease_s: float) -> SyncConnection:
    """
    Make the connection that claims are renewed over.

    Its limits leave time for a renewal although the first try met a connection gone silent.
    """
    third_s = lease_s / 3
    return SyncConnection.to(address, retry_for_s=third_s, patience_s=min(PATIENCE_S, third_s / 2))


@asynccontextmanager
async def callers_of(
    registry: Registry, main: AsyncConnection, address: Address, name: str, env: Env
) -> AsyncIterator[dict[Durability, AsyncCaller]]:
    """
    Give what the calls of runs are given to whose runners have chosen a durability, by that.

    Those that wait have a connection of their own: a wait holds up what stands behind it.
    """
    callers: dict[Durability, AsyncCaller] = {}
    opened: list[AsyncConnection] = []
    try:
        for durability in set(registry.durable.values()):
            connection = main
            if durability not in UNCONFIRMED:
                connection = AsyncConnection(
                    address, name=f"{name}-{durability}", open_for_s=address.times.budget_s
                )
                opened.append(connection)
                await connection.open()
            callers[durability] = await caller_over(connection, env, durability)
        yield callers
    finally:
        for connection in opened:
            await connection.close()


async def caller_over(connection: AsyncConnection, env: Env, durability: Durability) -> AsyncCaller:
    """
    Give what writes over *connection*, and waits for the server where *durability* says so.

    Raises ServerUnfit for a server that cannot confirm that; logs why it may take long.
    """
    if durability in UNCONFIRMED:
        return connection
    from stepflow.store.durability.async_ import confirming  # noqa: PLC0415  few want it
    from stepflow.store.durability.demand import demand_of, slow_to_confirm  # noqa: PLC0415

    demand = demand_of(durability, env.settings, env.keys)
    assert demand is not None
    slow = await carry_out(connection, slow_to_confirm(demand))
    if slow:
        log.warning("%s", slow)
    return await confirming(connection, demand)


class WorkerConnections:
    """
    The connections of one worker, open while it is entered.

    *main* is for everything, *wakes* for each fetcher to block on, *listener* for the worker's
    channel, *renewing* for the renewing thread. *caller* is what calls over *main* are given to.
    """

    def __init__(self, address: Address, name: str, settings: Settings) -> None:
        open_s, silence_s = address.times.budget_s, address.times.reply_s
        self.main = AsyncConnection(address, name=name, open_for_s=open_s)
        self.caller: AsyncCaller = self.main
        # a blocking read takes BLOCK_S at most: a connection that is silent for longer is replaced,
        # or nothing would wake this worker
        self.wakes = [
            AsyncConnection(
                address, name=f"{name}-wait", open_for_s=open_s, patience_s=BLOCK_S + PATIENCE_S,
                reply_timeout_s=BLOCK_S + max(PATIENCE_S, silence_s),
            )
            for _ in range(2)
        ]  # fmt: skip
        self.listener = Listener(address)
        self.main.on_silent = self._renew_all
        self.renewing = renewing_connection(address, settings.worker.lease_s)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        """Have *callback* called whenever *main* was connected anew."""
        self.main.on_reconnect = callback

    def _renew_all(self) -> None:
        """Replace the others: where one connection was silently dead, they are not trusted."""
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
        for connection in (*self.wakes, self.main):
            await connection.close()
        self.renewing.close()
