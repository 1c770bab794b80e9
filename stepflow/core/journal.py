"""
The journal: what a workflow's run remembers, entry by entry, in the order in which it came.

An entry is `kind|place|name|unix time|data`: text up to the data, which is a packed value, a due
time, or nothing. After the time of a step's attempt stand `_000` and how many milliseconds it took:
a reader who does not know of them reads both as one number, and still gets the time to the
microsecond. This module alone writes and reads that form. The functions at its end take
entries as they are stored, so that a damaged entry is of no concern to who does not look at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from stepflow.core.briefs import opened_brief, sealed_brief
from stepflow.core.children import ChildGroup
from stepflow.core.fanout.progress import Progress
from stepflow.core.ids import key_name
from stepflow.errors import StepflowError, UnreadableRecord

#: what a damaged entry raises when it is read or handed over; the workflow's own errors take
#: another way
MISREAD = (ValueError, TypeError, KeyError, IndexError, AttributeError, StepflowError)

#: what stands between the parts of an entry; places and names hold none
SEPARATOR = b"|"
#: what stands between the time of an attempt and how long it took; to a reader who does not know
#: of it, the digits after it begin at the tenth of a nanosecond
_TOOK = "_000"
#: how the place of a keyed step begins
KEYED = "key:"
#: how the place of an entry ends that says which state a machine has entered
ENTERED = ".enter"

#: a map of more children than this has digits was never begun
_TOTAL_DIGITS = 7
#: parts of the data of a settled map: its id, its total, how many succeeded and how many did not
_MAP_PARTS = 4


class EntryKind(StrEnum):
    """What an entry remembers."""

    VALUE = "value"  # a step gave this
    ERROR = "error"  # a step failed for good with this
    MEMO = "memo"  # an attempt of a step left this to those after it
    TRY = "try"  # an attempt of a step failed; the next is due then, and with what error
    DUE = "due"  # a sleep, or a signal's timeout, ends then
    OVER = "over"  # the sleep is over
    TIMER = "timer"  # a timer of the workflow's own code, due then, has fired
    TIME = "time"  # from here on, timers count from the time of this entry
    SIGNAL = "signal"  # this signal was taken
    NONE = "none"  # the time for a signal passed without one
    ANSWER = "answer"  # a question was answered, or its time is up
    EMIT = "emit"  # the workflow emitted this item of its output, known by its id
    VAR = "var"  # a variable was read or changed, with this answer
    FORGET = "forget"  # what keyed steps of this name had given counts no more
    PATCH = "patch"  # the run takes the new way at this patch
    START = "start"  # the run continues as new, for the time that is its name
    STOP = "stop"  # here the run was asked to stop
    # from here on only what was done is undone; with the error that ended the function, or nothing
    UNDO = "undo"
    CHILD = "child"  # a child ended like this
    MAP = "map"  # a map was settled; how its children ended is kept beside the journal
    BATCH = "batch"  # these items of a batch have their answers, which came together


#: the kinds with which the end of a run begins
_ENDINGS = (b"stop", b"undo")


@dataclass(slots=True)
class Entry:
    """
    One remembered fact; *at* is unix seconds by the server's clock.

    Nobody changes one; it is not frozen because frozen fields are slow to set, and every step and
    every line of a replay makes one.
    """

    kind: EntryKind
    place: str
    name: str
    at: float
    data: bytes = b""
    #: how many milliseconds the attempt took that it remembers; None for what is no attempt
    took_ms: int | None = None

    def head(self) -> bytes:
        """Write all but the data."""
        return write_head(self.kind, self.place, self.name, self.at, self.took_ms)

    def write(self) -> bytes:
        """Write the entry."""
        took = "" if self.took_ms is None else f"{_TOOK}{self.took_ms}"
        head = f"{self.kind}|{self.place}|{self.name}|{self.at:.6f}{took}|"
        return head.encode() + self.data  # as `write_head` does: each step passes here

    def holding(self, data: bytes) -> Entry:
        """Return the same entry with *data*."""
        return replace(self, data=data)

    @classmethod
    def read(cls, written: bytes) -> Entry:
        """Read an entry; a damaged one raises ValueError."""
        kind, place, name, at, data, took_ms = split(written)
        return cls(EntryKind(kind), place, name, at, data, took_ms)


def write_head(kind: str, place: str, name: str, at: float, took_ms: int | None = None) -> bytes:
    """Write all of an entry but its data."""
    took = "" if took_ms is None else f"{_TOOK}{took_ms}"
    return f"{kind}|{place}|{name}|{at:.6f}{took}|".encode()


def split(written: bytes) -> tuple[str, str, str, float, bytes, int | None]:
    """
    Return an entry's kind, place, name, time, data and milliseconds, of whatever kind it is.

    Raises ValueError for bytes that are no entry.
    """
    kind, place, name, time, data = written.split(SEPARATOR, 4)
    at, has_taken, took = time.decode().partition(_TOOK)
    took_ms = int(took) if has_taken else None
    return kind.decode(), place.decode(), name.decode(), float(at), data, took_ms


def read_journal(written: Sequence[bytes], run_id: str, first: int = 0) -> list[Entry]:
    """
    Read entries, those from index *first* on.

    Raises UnreadableRecord for one that is damaged, or that a later version wrote.
    """
    entries: list[Entry] = []
    try:
        for entry in written:
            entries.append(Entry.read(entry))  # noqa: PERF401  an error has to name the entry
    except MISREAD as error:
        index = len(entries)
        raise misread(run_id, first + index, written[index], error) from error
    return entries


def misread(run_id: str, index: int, written: bytes, error: Exception) -> UnreadableRecord:
    """Make the error that names the entry of a run's journal which cannot be read."""
    return UnreadableRecord.of_run(
        run_id,
        f"entry {index} of its journal holds {written[:80]!r} ({type(error).__name__}: {error})",
    )


def start_entry(restarts: int, now: float, step: int = 0) -> bytes:
    """
    Write the first entry of a run that has continued as new *restarts* times.

    *step* is the number of the activation with which the new history begins.
    """
    head = write_head(EntryKind.START, EntryKind.START, str(restarts), now)
    return head + b"%d" % step


def first_step(start: Entry) -> int:
    """Read with which activation a history began; 0 in entries of versions before."""
    return int(start.data) if start.data.isdigit() else 0


def place_of(written: bytes) -> str:
    """Return the place of an entry."""
    return written.split(SEPARATOR, 2)[1].decode()


def before_end(journal: Sequence[bytes]) -> Sequence[bytes]:
    """
    Return the entries up to where the run was asked to stop, or began to undo what it had done.

    A fork that remembered one of the rest would only end as well.
    """
    ends = (index for index, entry in enumerate(journal) if _kind(entry) in _ENDINGS)
    return journal[: next(ends, len(journal))]


def last_failure(journal: Sequence[bytes]) -> list[bytes]:
    """
    Return the entries of the failure that ended a run: an error at the end, and its tries.

    An error with values after it was caught by the workflow, which went on: that one stays. A stop
    is forgotten with all that came after it.
    """
    for index, entry in enumerate(journal):
        if _kind(entry) == b"stop":
            return list(journal[index:])
    if not journal or _kind(journal[-1]) != b"error":
        return []
    place = _parts(journal[-1])[1]
    wanted = ([b"try", place], [b"error", place])
    return [entry for entry in journal if _parts(entry)[:2] in wanted]


def every_failure(journal: Sequence[bytes]) -> list[bytes]:
    """
    Return the entries of all errors, and their tries: for a run that fails when all else has ended.

    A stop is forgotten with all that came after it.
    """
    if any(_kind(entry) == b"stop" for entry in journal):
        return last_failure(journal)
    failed = {_parts(entry)[1] for entry in journal if _kind(entry) == b"error"}
    kinds = (b"try", b"error")
    return [e for e in journal if _kind(e) in kinds and _parts(e)[1] in failed]


def find_step(journal: Sequence[bytes], step: str) -> int | None:
    """
    Return the index of the first entry of a step, which *step* calls by name, place or key.

    None when there is none.
    """
    wanted = step.encode()
    heads = list(_steps(journal))
    for index, _, name in heads:
        if name == wanted:
            return index
    places = {wanted, (KEYED + key_name(step)).encode()}
    return next((index for index, place, _ in heads if place in places), None)


def step_names(journal: Sequence[bytes]) -> list[str]:
    """Name the steps of a journal, each once, in order."""
    return list(dict.fromkeys(name.decode() for _, _, name in _steps(journal)))


def settled_maps(journal: Sequence[bytes]) -> list[ChildGroup]:
    """
    Return the maps that a journal remembers as settled, by their id and their total alone.

    How their children ended is kept beside it.
    """
    found = []
    for entry in journal:
        if _kind(entry) != b"map":
            continue
        end = entry.split(SEPARATOR, 7)[4:]
        if len(end) != _MAP_PARTS or end[0] == b"failed":
            continue
        group_id, total = end[:2]
        # whoever replays it says what is wrong
        if group_id.isascii() and total.isdigit() and len(total) <= _TOTAL_DIGITS:
            found.append(ChildGroup(group_id.decode(), int(total), 0, 0, 0))
    return found


#: stands for the type of the error of an attempt that somebody else's limit has refused, and which
#: does not count: no class of anybody has this name
RATE_LIMITED = "rate limited"
#: the same, of one that does count; a version before reads it as the type of any other error
RATE_LIMITED_ATTEMPT = "rate limited, an attempt"


def was_refused(brief: str) -> bool:
    """Say whether somebody else's limit has refused an attempt that failed so."""
    return brief.startswith((f"{RATE_LIMITED}:", f"{RATE_LIMITED_ATTEMPT}:"))


def counts_as_attempt(brief: str) -> bool:
    """Say whether an attempt that failed so is one of those that a policy allows."""
    return not brief.startswith(f"{RATE_LIMITED}:")


def write_try(due_at: float, error: str) -> bytes:
    """Write the data of a failed attempt: when the next is due, and how this one failed."""
    return f"{due_at:.6f}|{sealed_brief(error)}".encode("utf-8", "backslashreplace")


def read_try(data: bytes) -> tuple[float, str]:
    """
    Read when the next attempt of a step is due, and how the last one failed.

    The error is empty for a wait that is no attempt's, and in entries of versions before.
    """
    due, _, error = data.partition(SEPARATOR)
    return float(due), opened_brief(error.decode("utf-8", "backslashreplace"))


def write_map_end(group: ChildGroup, counts: bytes) -> bytes:
    """Write the data of a settled map, whose *counts* came from the server."""
    return SEPARATOR.join((group.group_id.encode(), b"%d" % group.total, counts))


def read_map_end(data: bytes) -> int:
    """Return how many children of a settled map had ended when it was settled."""
    _, _, succeeded, failed = data.split(SEPARATOR)
    return int(succeeded) + int(failed)


def write_batch(progress: Progress, answers: bytes) -> bytes:
    """Write the data of answers of a batch: how far it has come with these, and they, packed."""
    return b"%d,%d,%d|" % (progress.total, progress.succeeded, progress.failed) + answers


def batch_name(name: str) -> str:
    """Return what the user called the batch whose entries have a name, which ends in its total."""
    return name.rpartition(" of ")[0] or name


def read_batch(data: bytes) -> tuple[Progress, bytes]:
    """Read how far a batch had come with an entry, and the packed answers in that."""
    counts, answers = data.split(SEPARATOR, 1)
    total, succeeded, failed = counts.split(b",")
    return Progress(int(total), int(succeeded), int(failed)), answers


def _kind(written: bytes) -> bytes:
    return written[: max(written.find(SEPARATOR), 0)]


def _parts(written: bytes) -> list[bytes]:
    return written.split(SEPARATOR, 3)


def _steps(journal: Sequence[bytes]) -> Iterator[tuple[int, bytes, bytes]]:
    """Go through the index, place and name of every entry but the one that begins a history."""
    for index, entry in enumerate(journal):
        if index == 0 and _kind(entry) == b"start":
            continue
        _, place, name, *_ = _parts(entry)
        yield index, place, name
