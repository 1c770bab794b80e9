"""Waiting for a time or for a signal; the run keeps no worker meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from stepflow.core.journal import SEPARATOR, Entry, EntryKind
from stepflow.kits.flow.commands.command import Command
from stepflow.kits.flow.commands.expected import ExpectedType
from stepflow.kits.flow.commands.host import CommandHost
from stepflow.store.values.codec import unpack

log = logging.getLogger("stepflow.flow")


class SleepCommand(Command):
    """
    The end of a sleep.

    Its due time is remembered first, so a crash does not start the clock anew.
    """

    __slots__ = ("_wait_s",)
    what = "sleep"
    entry_kinds = (EntryKind.DUE, EntryKind.OVER)

    def __init__(self, place: str, future: asyncio.Future[Any], wait_s: float) -> None:
        super().__init__(place, "sleep", future)
        self._wait_s = wait_s

    def describe(self) -> str:
        return "the end of its sleep"

    def advance(self, host: CommandHost, now: float) -> None:
        if self.due_at is None:
            self.due_at = now + self._wait_s
            host.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
        elif self.due_at <= now:
            host.write(self, EntryKind.OVER)


class SignalCommand(Command):
    """
    The first signal of some names, or None when its time has passed: whichever is written first.

    One that is not of the *expected* type is set aside, with a line in the log, and the wait goes
    on.
    """

    __slots__ = ("_expected", "_run_id", "_seen", "_value", "_wait_s", "names")
    what = "signal"
    entry_kinds = (EntryKind.DUE, EntryKind.SIGNAL, EntryKind.NONE)
    wakes_on_inbox = True

    def __init__(
        self,
        place: str,
        future: asyncio.Future[Any],
        names: Sequence[str],
        wait_s: float | None = None,
        expected: ExpectedType | None = None,
    ) -> None:
        read = None if expected is None else expected.read
        super().__init__(place, ",".join(names), future, read)
        self.names = names
        self._wait_s = wait_s
        self._expected = expected
        self._value: Any = None
        #: the inbox version at which it looked into the mailbox last; 0 during a replay
        self._seen = 0
        self._run_id = ""

    def describe(self) -> str:
        return f"signal {' or '.join(map(repr, self.names))}"

    def expects(self) -> dict[str, dict[str, Any]]:
        schema = None if self._expected is None else self._expected.schema
        return {} if schema is None else dict.fromkeys(self.names, schema)

    def advance(self, host: CommandHost, now: float) -> None:
        self._run_id = host.run.id
        if self.due_at is None and self._wait_s is not None:
            self.due_at = now + self._wait_s
            host.write(self, EntryKind.DUE, f"{self.due_at:.6f}".encode())
        elif self._seen != host.inbox_version:
            if host.take_from_inbox(
                self,
                EntryKind.SIGNAL,
                lambda index, head: host.runtime.take_signal(index, head, self.names),
            ):
                self._seen = host.inbox_version
        elif self.due_at is not None and self.due_at <= now:
            host.write(self, EntryKind.NONE)

    def is_resolved_by(self, entry: Entry) -> bool:
        return super().is_resolved_by(entry) and (
            entry.kind is EntryKind.NONE or self._fits(entry.data)
        )

    def _fits(self, item: bytes) -> bool:
        """Read a signal that was taken; False sets it aside, on replay as it did live."""
        name, packed = item.split(SEPARATOR, 1)
        try:
            value = unpack(packed)
            self._value = value if self.read is None else self.read(value)
        except BaseException as error:  # noqa: BLE001  a validator is user code as well
            if self._seen:
                log.warning(
                    "run=%s skipped signal %r: its payload is not what the run waits for (%s); "
                    "the wait goes on",
                    self._run_id, name.decode(), error,
                )  # fmt: skip
            self._seen = 0
            return False
        return True

    def resolve(self, entry: Entry) -> None:
        self.future.set_result(self._value if entry.kind is EntryKind.SIGNAL else None)
