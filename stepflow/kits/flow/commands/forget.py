"""The forgetting of a keyed step."""

from __future__ import annotations

from stepflow.core.journal import EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost


class ForgetCommand(Command):
    """
    The fact that a key was forgotten.

    What the journal holds of it before this counts no more.
    """

    __slots__ = ()
    what = "forget"
    entry_kinds = (EntryKind.FORGET,)
    has_to_be_awaited = False  # it holds from the call on

    def advance(self, host: CommandHost, now: float) -> None:
        del now
        host.write(self, EntryKind.FORGET)
