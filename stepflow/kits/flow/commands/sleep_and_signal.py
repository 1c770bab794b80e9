"""Waiting: for a time, for a signal. Nobody holds the run meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stepflow.core.journal import Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.expected import ExpectedType
from stepflow.store.values.codec import unpack

if TYPE_CHECKING:
    from stepflow.kits.flow.replay.activation import Activation

log = logging.getLogger("stepflow.flow")


class SleepCommand(Command):
    """
    The end of a sleep.

    Its due time is remembered first, so a restart does not start the clock anew.
    """

    __slots__ = ("_wait_s",)
    what = "sleep"
    entry_kinds = (EntryKind.DUE, EntryKind.OVER)

    def __init__(self, place: str, future: asyncio.Future[Any], wait_s: float) -> None:
        super().__init__(place, "sleep", future)
        self._wait_s = wait_s

    def advance(self, activation: Activation, now: float) -> None:
        if self.due_at is None:
            self.due_at = now + self._wait_s
            activation.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
        elif self.due_at <= now:
            activation.write(self, EntryKind.OVER)


class SignalCommand(Command):
    """
    The first signal of some names, or None when its time has passed: whichever is written first.

    One that is not as *wanted* is set aside, with a line in the log, and the wait goes on.
    """

    __slots__ = ("_run_id", "_seen", "_value", "_wait_s", "_wanted", "names")
    what = "signal"
    entry_kinds = (EntryKind.DUE, EntryKind.SIGNAL, EntryKind.NONE)
    wakes_on_inbox = True

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        names: Sequence[str],
        wait_s: float | None = None,
        wanted: ExpectedType | None = None,
    ) -> None:
        super().__init__(place, ",".join(names), future, None if wanted is None else wanted.read)
        self.names = names
        self._wait_s = wait_s
        self._wanted = wanted
        self._value: Any = None
        #: the round of news in which it looked into the mailbox last; 0 during a replay
        self._seen = 0
        self._run_id = ""

    def expects(self) -> dict[str, dict[str, Any]]:
        schema = None if self._wanted is None else self._wanted.schema
        return {} if schema is None else dict.fromkeys(self.names, schema)

    def advance(self, activation: Activation, now: float) -> None:
        self._run_id = activation.run.id
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            activation.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
        elif self._seen != activation.inbox_version:
            if activation.take_from_inbox(
                self,
                EntryKind.SIGNAL,
                lambda at, head: activation.runtime.take_signal(at, head, self.names),
            ):
                self._seen = activation.inbox_version
        elif self.due_at is not None and self.due_at <= now:
            activation.write(self, EntryKind.NONE)

    def is_answered_by(self, entry: Entry) -> bool:
        return super().is_answered_by(entry) and (
            entry.kind is EntryKind.NONE or self._fits(entry.data)
        )

    def _fits(self, item: bytes) -> bool:
        """Read a signal that was taken; False sets it aside, on replay as it did live."""
        name, packed = item.split(b"|", 1)
        try:
            value = unpack(packed)
            self._value = value if self.read is None else self.read(value)
        except BaseException as error:  # noqa: BLE001  a validator is user code as well
            if self._seen:
                log.warning(
                    "run=%s signal %r set aside, its payload is not what is waited for (%s); the wait goes on",
                    self._run_id, name.decode(), error,
                )  # fmt: skip
            self._seen = 0
            return False
        return True

    def answer(self, entry: Entry) -> None:
        self.future.set_result(self._value if entry.kind is EntryKind.SIGNAL else None)
