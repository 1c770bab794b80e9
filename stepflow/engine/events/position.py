"""Where a reader of events is: how much of each of the run's records it has been told."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import Any, Self

from stepflow.errors import InvalidOption, shown

#: told journal entries that a position knows by their marks: a retry takes some of them away
_TAIL = 8


def mark_of(written: bytes) -> str:
    """Give a short mark by which a record or an entry is recognized."""
    return blake2b(written, digest_size=4).hexdigest()


@dataclass(slots=True)
class Position:
    """
    How much is told, of one generation and one history.

    Records only grow there, so numbers say it: *step* is the first step that is not told to its
    end, *told* the marks of the claims whose attempts at it are; *records* counts step records,
    *journal* entries, *tail* has the marks of the last of these. *ends* counts ends, *is_ended*
    says that the last of them still holds, *is_ending* that the record told last may have been one.
    *stop* is the time of the stop that is told.
    """

    generation: int = 0
    restarts: int = 0
    is_submitted: int = 0
    is_started: int = 0
    step: int = 0
    told: list[str] = field(default_factory=list)
    records: int = 0
    journal: int = 0
    tail: list[str] = field(default_factory=list)
    ends: int = 0
    is_ended: int = 0
    is_ending: int = 0
    stop: str = ""

    def write(self) -> str:
        """Return the position as text that URLs can carry."""
        values = [getattr(self, each.name) for each in fields(self)]
        packed = json.dumps(values, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    @classmethod
    def read(cls, written: str | None) -> Self:
        """Read a position back, None for the beginning; raises InvalidOption."""
        if not written:
            return cls()
        try:
            padded = written + "=" * (-len(written) % 4)
            values: Any = json.loads(base64.urlsafe_b64decode(padded.encode()))
            position = cls(*values)
            fits = len(values) == len(fields(cls)) and all(
                type(getattr(position, each.name)) is type(getattr(cls(), each.name))
                for each in fields(cls)
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            fits = False
        if not fits:
            msg = "is not a place among the events of a run; use the id of an event"
            raise InvalidOption(f"{shown(written)} {msg}")
        return position

    def begin_history(self, restarts: int, step: int) -> None:
        """Go to the beginning of a new history, whose first entry is told."""
        self.restarts, self.step, self.told, self.records = restarts, step, [], 0
        self.journal, self.tail = 1, []

    def pass_entry(self, written: bytes) -> None:
        """Note that the next journal entry is told."""
        self.journal += 1
        self.tail = [*self.tail, mark_of(written)][-_TAIL:]

    def pass_record(self, step: int, token: str, *, is_final: bool, is_ending: bool) -> None:
        """
        Note that a record of *step* is told; *is_final* when no more come for that step.

        *is_ending* when it may have ended the run.
        """
        self.records += 1
        self.is_ending = int(is_ending)
        if is_final:
            self.step, self.told = step + 1, []
            return
        if step != self.step:
            self.step, self.told = step, []
        self.told = [*self.told, mark_of(token.encode())]

    def has_told(self, step: int, token: str) -> bool:
        """Whether the record of *token*'s attempt at *step* is told."""
        return step < self.step or (step == self.step and mark_of(token.encode()) in self.told)
