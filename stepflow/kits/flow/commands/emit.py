"""`ctx.emit`: an item of the run's output that the journal remembers, so it is said once."""

from __future__ import annotations

import asyncio

from stepflow.core.journal import EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost


class EmitCommand(Command):
    """One item, packed, under its topic; answered when it is written."""

    __slots__ = ("_data", "_topic")
    what = "emit"
    entry_kinds = (EntryKind.EMIT,)

    def __init__(self, place: str, future: asyncio.Future[None], data: bytes, topic: str) -> None:
        super().__init__(place, topic, future)
        self._data = data
        self._topic = topic

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        host.write_computed(
            self,
            EntryKind.EMIT,
            lambda index, head: host.runtime.emit_entry(index, head, self._data, self._topic),
        )
