"""The fact that a state was entered, which is remembered before anything of it runs."""

from __future__ import annotations

import asyncio

from stepflow.core.journal import ENTERED, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.store.values.codec import pack


class EnterCommand(Command):
    """One visit of a state; its name is the label of the state."""

    __slots__ = ("_visit",)
    what = "state"
    entry_kinds = (EntryKind.VALUE,)

    def __init__(self, place: str, label: str, future: asyncio.Future[None], visit: int) -> None:
        super().__init__(place + ENTERED, label, future)
        self._visit = visit

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        host.write(self, EntryKind.VALUE, pack(self._visit, in_clear=True))
