"""The record that each attempt of a step leaves: how it ended, when, and in which worker."""

from __future__ import annotations

from typing import NamedTuple

from stepflow.core.ids import worker_of


class StepRecord(NamedTuple):
    """
    How one attempt of a step ended.

    Written `<token><outcome> <attempt> <started> <ended>`, times in unix seconds. *token* is that
    of the claim, `<worker>.<number>.`: its last dot parts it from *outcome*.
    """

    token: str
    outcome: str
    attempt: int
    started_at: float
    ended_at: float

    @property
    def worker(self) -> str:
        """The worker that ran the attempt."""
        return worker_of(self.token)

    def write(self) -> str:
        """Return the record as Redis has it."""
        token, outcome, attempt, started_at, ended_at = self
        return f"{token}{outcome} {attempt} {started_at:.3f} {ended_at:.3f}"

    @classmethod
    def read(cls, written: bytes) -> StepRecord:
        """Read a record back; raises ValueError for anything else."""
        head, attempt, started, ended = written.decode().split(" ")
        token, outcome = head.rsplit(".", 1)
        return cls(
            f"{token}.",
            outcome,
            attempt=int(attempt),
            started_at=float(started),
            ended_at=float(ended),
        )


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
