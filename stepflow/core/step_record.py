"""The record that each attempt of a step leaves: how it ended, when, and in which worker."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, overload
from urllib.parse import quote, unquote

from stepflow.core.briefs import opened_brief, sealed_brief
from stepflow.core.ids import worker_of

#: stands in a record for a time or an error that there is none of
_NONE = "-"
#: what of an error needs no escape in a record, whose words have spaces between them
_PLAIN = "!\"#$&'()*+,/:;<=>?@[]^`{|}"


class StepRecord(NamedTuple):
    """
    How one attempt of a step ended.

    Written `<token><outcome> <attempt> <started> <ended>`, times in unix seconds. *token* is that
    of the claim, `<worker>.<number>.`: its last dot parts it from *outcome*. An attempt that
    failed, or whose step is due again, has two more words: when that is, and the error.
    """

    token: str
    outcome: str
    attempt: int
    started_at: float
    ended_at: float
    #: when (unix seconds) the step is due again, 0 for at once and for a step that is closed
    due_at: float = 0.0
    #: `Type: message` of the error that ended the attempt, "" without one; see `ErrorInfo.brief`
    error: str = ""

    @property
    def worker(self) -> str:
        """The worker that ran the attempt."""
        return worker_of(self.token)

    @property
    def took_s(self) -> float | None:
        """How long the attempt took; None for one that was lost, of which nobody knows that."""
        if not self.started_at or not self.ended_at:
            return None
        return round(self.ended_at - self.started_at, 3)

    def write(self) -> str:
        """Return the record as Redis has it."""
        token, outcome, attempt, started_at, ended_at, due_at, error = self
        written = write_good(token, outcome, attempt, started_at, ended_at)
        if not due_at and not error:
            return written
        due = f"{due_at:.3f}" if due_at else _NONE
        return f"{written} {due} {quote(sealed_brief(error), safe=_PLAIN) or _NONE}"

    @classmethod
    def read(cls, written: bytes) -> StepRecord:
        """Read a record back; raises ValueError for anything else."""
        head, attempt, started, ended, *more = written.decode().split(" ")
        token, outcome = head.rsplit(".", 1)
        due, error = more[:2] if more else (_NONE, _NONE)
        return cls(
            f"{token}.",
            outcome,
            attempt=int(attempt),
            started_at=float(started),
            ended_at=float(ended),
            due_at=0.0 if due == _NONE else float(due),
            error="" if error == _NONE else opened_brief(unquote(error)),
        )


def write_good(token: str, outcome: str, attempt: int, started_at: float, ended_at: float) -> str:
    """Write the record of an attempt that went well, as `StepRecord.write` does."""
    # three quarters of the time of an f-string, on every step
    return "%s%s %d %.3f %.3f" % (token, outcome, attempt, started_at, ended_at)  # noqa: UP031


class Attempt(NamedTuple):
    """A record with what its name says: which step it is about, and whether it closed that step."""

    number: int
    is_closed: bool
    record: StepRecord

    @classmethod
    def read(cls, name: bytes, written: bytes) -> Attempt:
        """Read a record and its name; what cannot be read stands in the place of the outcome."""
        number, is_closed = read_name(name)
        try:
            return cls(number, is_closed, StepRecord.read(written))
        except ValueError:
            return cls(number, is_closed, StepRecord("", f"unreadable: {written[:60]!r}", 0, 0, 0))


class Columns(NamedTuple):
    """The attempts of a run, an array for each thing that is known of all of them."""

    numbers: Sequence[int]
    #: unix seconds; 0 in a record that cannot be read
    started_at: Sequence[float]
    ended_at: Sequence[float]
    #: 1 for an attempt that did not end well
    is_bad: Sequence[int]


class Attempts(Sequence[Attempt]):
    """
    The attempts of a run, in the order in which they happened.

    Each is read when it is asked for: there may be a hundred thousand of them.
    """

    def __init__(self, row: Mapping[bytes, bytes]) -> None:
        closed = {int(name): written for name, written in row.items() if name.isdigit()}
        tried: dict[int, list[Attempt]] = {}
        for name in (name for name in row if not name.isdigit()):
            attempt = Attempt.read(name, row[name])
            tried.setdefault(attempt.number, []).append(attempt)
        self._numbers: list[int] = []
        self._held: list[bytes | Attempt] = []
        for number in sorted({*closed, *tried}):
            for attempt in sorted(tried.get(number, ()), key=_ended):
                self._numbers.append(number)
                self._held.append(attempt)
            if number in closed:
                self._numbers.append(number)
                self._held.append(closed[number])

    def __len__(self) -> int:
        return len(self._held)

    @overload
    def __getitem__(self, at: int) -> Attempt: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Attempt]: ...
    def __getitem__(self, at: int | slice) -> Attempt | Sequence[Attempt]:
        """Read one attempt, or some."""
        if isinstance(at, slice):
            return [self[index] for index in range(*at.indices(len(self)))]
        held = self._held[at]
        if isinstance(held, Attempt):
            return held
        return Attempt.read(b"%d" % self._numbers[at], held)

    def outcomes(self) -> set[str]:
        """Give every outcome that there is."""
        heads = {
            held.partition(b" ")[0].rpartition(b".")[2] if isinstance(held, bytes) else held
            for held in self._held
        }
        return {
            head.record.outcome if isinstance(head, Attempt) else head.decode(errors="replace")
            for head in heads
        }

    @cached_property
    def columns(self) -> Columns:
        """Read what is needed of all of them."""
        started, ended, bad = array("d"), array("d"), bytearray()
        for number, held in zip(self._numbers, self._held, strict=True):
            try:
                head, _, start, end = held.split(b" ", 4)[:4]  # type: ignore[union-attr]
                times = float(start), float(end)
                is_good = head.endswith(_GOOD)
            except (AttributeError, ValueError):
                record = _record(number, held)
                times, is_good = (record.started_at, record.ended_at), record.outcome in _GOODS
            started.append(times[0])
            ended.append(times[1])
            bad.append(not is_good)
        return Columns(self._numbers, started, ended, bad)


def _record(number: int, held: bytes | Attempt) -> StepRecord:
    return (held if isinstance(held, Attempt) else Attempt.read(b"%d" % number, held)).record


def _ended(attempt: Attempt) -> float:
    return attempt.record.ended_at


#: the outcomes of an attempt that ended well
_GOODS = ("continue", "succeed", "park", "yield", "restart", "last")
_GOOD = tuple(f".{outcome}".encode() for outcome in _GOODS)


def closed_name(step: int) -> str:
    """Name the record of the attempt that closed a step."""
    return str(step)


def attempt_name(step: int, token: str, *, lost: bool = False) -> str:
    """Name the record of an attempt that left its step open; *lost* when others noted its end."""
    return f"{step}.{token}lost" if lost else f"{step}.{token}"


def read_name(name: bytes) -> tuple[int, bool]:
    """Read which step a record is about, and whether that attempt closed it; 0 for no number."""
    number, dot, _ = name.decode("utf-8", "backslashreplace").partition(".")
    return (int(number) if number.isdecimal() else 0, not dot)
