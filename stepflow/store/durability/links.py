"""The blocking connections of a client, by what they wait for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncCaller, SyncConnection

if TYPE_CHECKING:
    from stepflow.store.durability.demand import Demand


class Links:
    """
    Makes a connection on first use: one for calls that wait for nothing, one for each demand.

    With *given*, a stand-in of tests that keeps everything in memory, there is no other.
    """

    def __init__(self, find_address: Callable[[], Address], given: SyncCaller | None) -> None:
        self._find_address = find_address
        self._given = given
        self._made: dict[Demand | None, SyncConnection] = {}

    def at(self, demand: Demand | None) -> SyncCaller:
        """Return what carries out calls and meets *demand*."""
        if self._given is not None:
            return self._given
        found = self._made.get(demand)
        if found is None:
            found = self._made.setdefault(demand, _connect(self._find_address(), demand))
        return found

    def confirm(self, demand: Demand) -> None:
        """Wait until all that the server has carried out so far meets *demand*."""
        from stepflow.store.durability.sync import ConfirmedSyncConnection  # noqa: PLC0415  as below

        connection = self.at(demand)
        if isinstance(connection, ConfirmedSyncConnection):
            connection.confirm()

    def close(self) -> None:
        """Close those that were made; they open again when they are used."""
        for connection in list(self._made.values()):
            connection.close()


def _connect(address: Address, demand: Demand | None) -> SyncConnection:
    if demand is None:
        return SyncConnection.to(address)
    from stepflow.store.durability.sync import ConfirmedSyncConnection  # noqa: PLC0415  few want it

    return ConfirmedSyncConnection.meeting(demand, address)
