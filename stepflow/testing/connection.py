"""An async connection over a sync one, for the fake server, which replies at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from stepflow.store.calls import Call
from stepflow.store.connection.sync import SyncCaller

T = TypeVar("T")


class FakeConnection:
    """Carries out each call immediately, blocking the loop's thread."""

    def __init__(self, connection: SyncCaller) -> None:
        self._connection = connection

    async def open(self) -> None:
        """Do nothing: there is no connection to manage."""

    async def close(self) -> None:
        """Do nothing: there is no connection to manage."""

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Carry out one call and return a future that is done."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(self._connection.call(call))
        except Exception as error:  # noqa: BLE001  raised where it is awaited
            future.set_exception(error)
        return future

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return self._connection.call(call)

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls, in order."""
        return self._connection.calls(calls)
