"""
The journal: what a workflow's run remembers, entry by entry, in the order in which it came.

An entry is `kind|place|name|unix time|data`: text up to the data, which is a packed value, a due
time, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stepflow.errors import StepflowError, UnreadableRecord

#: what comes of an entry that is damaged, when it is read or handed over; the workflow's own errors
#: do not come that way
MISREAD = (ValueError, TypeError, KeyError, IndexError, AttributeError, StepflowError)

#: what stands between the parts of an entry; places and names hold none
SEPARATOR = b"|"


class EntryKind(StrEnum):
    """What an entry remembers."""

    VALUE = "value"  # a step gave this
    ERROR = "error"  # a step failed for good with this
    TRY = "try"  # an attempt of a step failed; the next is due then
    DUE = "due"  # a sleep, or a signal's timeout, ends then
    OVER = "over"  # the sleep is over
    SIGNAL = "signal"  # this signal was taken
    NONE = "none"  # the time for a signal passed without one
    ANSWER = "answer"  # what was asked was answered, or its time is up
    VAR = "var"  # a variable was read or changed, with this answer
    FORGET = "forget"  # what keyed steps of this name had given counts no more
    PATCH = "patch"  # the run takes the new way at this patch
    START = "start"  # the run was restarted, for the time that is its name
    STOP = "stop"  # here the run was asked to stop
    # from here on only what was done is undone; with the error that ended the function, or nothing
    UNDO = "undo"
    CHILD = "child"  # a child ended like this
    MAP = "map"  # a map was settled; how its children ended is kept beside the journal


@dataclass(frozen=True, slots=True)
class Entry:
    """One remembered fact; *at* is unix seconds by the server's clock."""

    kind: EntryKind
    place: str
    name: str
    at: float
    data: bytes = b""

    def head(self) -> bytes:
        """Write all but the data."""
        return f"{self.kind}|{self.place}|{self.name}|{self.at:.6f}|".encode()

    def write(self) -> bytes:
        """Write the entry."""
        return self.head() + self.data

    def holding(self, data: bytes) -> Entry:
        """Give the same entry with *data*."""
        return Entry(self.kind, self.place, self.name, self.at, data)

    @classmethod
    def read(cls, written: bytes) -> Entry:
        """Read an entry."""
        kind, place, name, at, data = written.split(SEPARATOR, 4)
        return cls(EntryKind(kind.decode()), place.decode(), name.decode(), float(at), data)


def read_journal(written: Sequence[bytes], run_id: str) -> list[Entry]:
    """
    Read all entries.

    Raises UnreadableRecord for one that is damaged, or that a later version wrote.
    """
    entries: list[Entry] = []
    try:
        for entry in written:
            entries.append(Entry.read(entry))  # noqa: PERF401  it is to be known which one cannot be read
    except MISREAD as error:
        raise misread(run_id, len(entries), written[len(entries)], error) from error
    return entries


def misread(run_id: str, index: int, written: bytes, error: Exception) -> UnreadableRecord:
    """Say which entry of a run's journal cannot be read."""
    return UnreadableRecord.of_run(
        run_id,
        f"entry {index} of its journal holds {written[:80]!r} ({type(error).__name__}: {error})",
    )
