"""The end of those children of a map without which it was settled."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from stepflow.core.children import ChildGroup
from stepflow.core.journal import Entry, EntryKind
from stepflow.errors import StepFailed
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.store.values.codec import pack, unpack

#: seconds after which it looks again: a worker of the version before, which ends a child while both
#: versions run, does not tell its parent of that
LOOK_AGAIN_S = 10.0


class StopRestCommand(Command):
    """
    The fact that the rest of a settled map was asked to end, and has ended.

    To versions before it was a step, which only asked: its entries are read as that step's.
    """

    __slots__ = ("_group", "_left", "_seen", "_task")
    what = "children"
    entry_kinds = (EntryKind.VALUE, EntryKind.ERROR, EntryKind.TRY)
    wakes_on_inbox = True

    def __init__(self, place: str, future: asyncio.Future[Any], group: ChildGroup) -> None:
        super().__init__(place, "stop the rest", future)
        self._group = group
        #: those that may not have ended; None before they were asked to
        self._left: list[str] | None = None
        self._seen = 0
        self._task: asyncio.Task[None] | None = None

    def describe(self) -> str:
        return "children to end"

    def advance(self, host: CommandHost, now: float) -> None:
        is_due = self.due_at is not None and self.due_at <= now
        if self._seen != host.inbox_version or is_due:
            self._seen = host.inbox_version
            self.is_busy = True
            self._task = host.spawn(self._look(host), partial(self._looked, host))

    async def _look(self, host: CommandHost) -> None:
        left = self._left
        if left is None:
            left = await host.runtime.stop_group(self._group)
        if left:
            inbox, ends = await host.runtime.load_ends(left)
            host.note_inbox(inbox)
            left = [child for child, end in zip(left, ends, strict=True) if end is None]
        self._left = left

    def _looked(self, host: CommandHost, done: asyncio.Task[None]) -> None:
        self.is_busy = False
        host.wake()
        if done.cancelled():
            return
        done.result()
        if self._left:
            self.due_at = host.runtime.now() + LOOK_AGAIN_S
        else:
            host.write(self, EntryKind.VALUE, pack(None))

    def abandon(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def resolve(self, entry: Entry) -> None:
        if entry.kind is EntryKind.ERROR:
            kind, message, _ = unpack(entry.data)
            self.future.set_exception(StepFailed(self.name, kind, message))
            return
        self.future.set_result(None)
