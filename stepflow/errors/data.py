"""Stored data that cannot be read."""

from __future__ import annotations

from stepflow.errors.base import StepflowError


class DataError(StepflowError):
    """Stored data cannot be read."""


class UnreadableValue(DataError):
    """A value in Redis was not written by stepflow, or is damaged."""


class UnreadableRecord(DataError):
    """
    A record in Redis cannot be read: something else, or a later version of stepflow, wrote it.

    *run_id* is the run that the record belongs to, empty when it belongs to none.
    """

    def __init__(self, what: str, problem: str, *, run_id: str = "") -> None:
        self.run_id = run_id
        super().__init__(f"{what} cannot be read: {problem}")

    @classmethod
    def of_run(cls, run_id: str, problem: str) -> UnreadableRecord:
        """Make the error for a record that belongs to a run."""
        return cls(f"run {run_id!r}", problem, run_id=run_id)


class PayloadMismatch(DataError):
    """A payload does not have the type that the runner declares."""

    def __init__(self, runner: str, problem: str) -> None:
        self.problem = problem
        super().__init__(
            f"the payload does not have the type that runner {runner!r} declares: {problem}"
        )
        self.runner = runner


class UnreadableHistory(DataError):
    """A file is not a history that `stepflow export` wrote."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"this is not a history that `stepflow export` wrote ({problem})")
