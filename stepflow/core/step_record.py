"""The record that each attempt of a step leaves: how it ended, when, and in which worker."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, unquote

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

    def write(self) -> str:
        """Return the record as Redis has it."""
        token, outcome, attempt, started_at, ended_at, due_at, error = self
        written = f"{token}{outcome} {attempt} {started_at:.3f} {ended_at:.3f}"
        if not due_at and not error:
            return written
        due = f"{due_at:.3f}" if due_at else _NONE
        return f"{written} {due} {quote(error, safe=_PLAIN) or _NONE}"

    @classmethod
    def read(cls, written: bytes) -> StepRecord:
        """Read a record back; raises ValueError for anything else."""
        head, attempt, started, ended, *more = written.decode().split(" ")
        token, outcome = head.rsplit(".", 1)
        if not more:  # nearly all of them: a long run has many
            return cls(f"{token}.", outcome, int(attempt), float(started), float(ended))
        due, error = more[:2]
        return cls(
            f"{token}.",
            outcome,
            attempt=int(attempt),
            started_at=float(started),
            ended_at=float(ended),
            due_at=0.0 if due == _NONE else float(due),
            error="" if error == _NONE else unquote(error),
        )


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


def closed_name(step: int) -> str:
    """Name the record of the attempt that closed a step."""
    return str(step)


def attempt_name(step: int, token: str, *, lost: bool = False) -> str:
    """Name the record of an attempt that left its step open; *lost* when others noted its end."""
    return f"{step}.{token}lost" if lost else f"{step}.{token}"


def read_name(name: bytes) -> tuple[int, bool]:
    """Read which step a record is about, and whether that attempt closed it; 0 for no number."""
    if name.isdigit():
        return int(name), True
    number, dot, _ = name.decode("utf-8", "backslashreplace").partition(".")
    return (int(number) if number.isdecimal() else 0, not dot)
