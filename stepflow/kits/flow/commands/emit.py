"""`ctx.emit`: an item of the run's output that the journal remembers, so it is said once."""

from __future__ import annotations

import asyncio

from stepflow.core.journal import EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost


class EmitCommand(Command):
    """
    One item, packed, under its topic; answered when it is written.

    The run's output then has *most_bytes* at most: the oldest items go. None is what is set.
    """

    __slots__ = ("_data", "_most_bytes", "_topic")
    what = "emit"
    entry_kinds = (EntryKind.EMIT,)

    def __init__(
        self,
        place: str,
        future: asyncio.Future[None],
        data: bytes,
        topic: str,
        most_bytes: int | None = None,
    ) -> None:
        super().__init__(place, topic, future)
        self._data = data
        self._topic = topic
        self._most_bytes = most_bytes

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        host.write_computed(
            self,
            EntryKind.EMIT,
            lambda index, head: host.runtime.emit_entry(
                index, head, self._data, self._topic, self._most_bytes
            ),
        )
