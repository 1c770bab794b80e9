"""
The connections of an AsyncClient: one for each event loop it is used on.

A web framework's test client, Django's async views and `asyncio.run` make loops of their own. A
connection belongs to the loop that opened it, and is closed when that loop ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepflow.store.connection.address import Address
from stepflow.store.connection.async_ import AsyncCaller, AsyncConnection
from stepflow.store.connection.pubsub import Listener
from stepflow.store.connection.thread_calls import await_in_thread

if TYPE_CHECKING:
    from stepflow.store.durability.demand import Demand


@dataclass(slots=True)
class LoopConnection:
    """What a client has on one loop: a connection for calls, and one for notifications."""

    connection: AsyncConnection
    listener: Listener
    #: what waits until its writes are confirmed, over connections of their own; none for most
    confirming: dict[Any, tuple[AsyncConnection, AsyncCaller]] = field(default_factory=dict)
    #: closes both when the loop shuts its async generators down
    keeper: AsyncGenerator[None, None] | None = None

    async def close(self) -> None:
        """Close both; call it on their loop."""
        await self.listener.close()
        await self.connection.close()
        for connection, _ in self.confirming.values():
            await connection.close()
        await asyncio.sleep(0)  # an aborted transport closes its socket in the loop's next turn


class PerLoop:
    """
    Opens a connection on the first call of each loop, and closes it with the loop.

    A loop that ends, as `asyncio.run` ends it, shuts its async generators down: one of them closes
    our connection. What a loop that was closed without that has left is dropped by the next loop.
    """

    def __init__(self, find_address: Callable[[], Address]) -> None:
        self._find_address = find_address
        self._open: dict[asyncio.AbstractEventLoop, LoopConnection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def known(self) -> LoopConnection | None:
        """Return what is open on the running loop."""
        return self._open.get(asyncio.get_running_loop())

    async def here(self) -> LoopConnection:
        """Return what is open on the running loop; opens it on the first call."""
        loop = asyncio.get_running_loop()
        found = self._open.get(loop)
        if found is None:
            address = await await_in_thread(self._find_address)
            found = self._open.get(loop)  # another task may have been faster
        if found is None:
            self._drop_closed()
            found = LoopConnection(
                AsyncConnection(address, retry_for_s=address.times.budget_s), Listener(address)
            )
            self._open[loop] = found
            found.keeper = self._keep(loop, found)
            await anext(found.keeper)
        return found

    async def confirming(self, demand: Demand) -> AsyncCaller:
        """
        Return what meets *demand* on the running loop; connects on the first call.

        A wait for the disk holds up its connection, so it has one of its own. Raises ServerUnfit.
        """
        here = await self.here()
        found = here.confirming.get(demand)
        if found is None:
            from stepflow.store.durability.async_ import confirming  # noqa: PLC0415  few want it

            address = await await_in_thread(self._find_address)
            give_up_s = address.times.budget_s
            connection = AsyncConnection(address, retry_for_s=give_up_s)
            try:
                caller = await confirming(connection, demand, give_up_s=give_up_s)
            except BaseException:
                await connection.close()
                raise
            found = here.confirming.setdefault(demand, (connection, caller))
            if found[0] is not connection:  # another task was faster
                await connection.close()
        return found[1]

    async def _keep(
        self, loop: asyncio.AbstractEventLoop, opened: LoopConnection
    ) -> AsyncGenerator[None, None]:
        """Wait for the end of the loop, or of the client; then close the connections."""
        try:
            yield
        finally:
            if self._open.get(loop) is opened:
                del self._open[loop]
            await opened.close()

    def _drop_closed(self) -> None:
        """Drop what belongs to loops that were closed without shutting down their generators."""
        for loop, opened in list(self._open.items()):
            if loop.is_closed():
                self._open.pop(loop, None)
                opened.listener.drop()
                opened.connection.drop()
                for connection, _ in opened.confirming.values():
                    connection.drop()

    async def close(self) -> None:
        """Close what is open on the running loop; other loops close theirs when they end."""
        self._drop_closed()
        opened = self._open.pop(asyncio.get_running_loop(), None)
        if opened is not None and opened.keeper is not None:
            await opened.keeper.aclose()
