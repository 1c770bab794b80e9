"""Crashes that a test asks for: where the harness's worker is gone, as if killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from stepflow.core.journal import Entry, EntryKind, batch_name
from stepflow.store.calls import Call
from stepflow.store.connection.sync import SyncCaller
from stepflow.store.scripts import ADD_ENTRY, ADD_ENTRY_LIMITED, SETTLE_BUDGET, TAKE_SIGNAL
from stepflow.testing.connection import FakeConnection

T = TypeVar("T")

#: entries that are not yet what was asked for at their place
_ON_THE_WAY = (EntryKind.TRY, EntryKind.DUE)


@dataclass(slots=True)
class Crash:
    """
    The worker is gone when the entry of step *name* comes, *written* or not.

    *left* times more.
    """

    name: str
    written: bool
    left: int

    def matches(self, call: Call[Any]) -> bool:
        """Say whether *call* writes the entry that is waited for."""
        scripts = (ADD_ENTRY, ADD_ENTRY_LIMITED, SETTLE_BUDGET)
        if self.left <= 0 or call.script not in (
            (*scripts, TAKE_SIGNAL) if self.written else scripts
        ):
            return False
        if not call.args[2]:  # what settles in a budget may write no entry
            return False
        entry = Entry.read(bytes(call.args[2]))  # type: ignore[arg-type]
        is_batch = entry.kind is EntryKind.BATCH
        name = batch_name(entry.name) if is_batch else entry.name
        return name == self.name and entry.kind not in _ON_THE_WAY


class CrashingConnection(FakeConnection):
    """
    The connection of the harness's worker to the server.

    Once cut, what was sent is not answered and nothing more arrives.
    """

    def __init__(self, connection: SyncCaller, crashes: Sequence[Crash]) -> None:
        super().__init__(connection)
        self._crashes = crashes
        self.is_cut = False

    def send(self, call: Call[T]) -> asyncio.Future[T]:
        """Carry out one call; the future is done, unless the worker is gone."""
        crash = next((crash for crash in self._crashes if crash.matches(call)), None)
        if self.is_cut or (crash is not None and not crash.written):
            self._cut(crash)
            return asyncio.get_running_loop().create_future()
        future = super().send(call)
        if crash is not None and _has_written(call, future.result()):
            self._cut(crash)
            return asyncio.get_running_loop().create_future()
        return future

    def _cut(self, crash: Crash | None) -> None:
        if crash is not None and not self.is_cut:
            crash.left -= 1
        self.is_cut = True

    async def call(self, call: Call[T]) -> T:
        """Carry out one call."""
        return await self.send(call)

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        """Carry out several calls, in order."""
        return [await self.send(call) for call in calls]


def _has_written(call: Call[Any], answer: Any) -> bool:
    return len(answer) > 1 if call.script is TAKE_SIGNAL else bool(answer == 1)
