"""Stored data that cannot be read."""

from __future__ import annotations

from stepflow.errors.base import StepflowError


class DataError(StepflowError):
    """Stored data cannot be read."""


class UnreadableValue(DataError):
    """A value in Redis was not written by stepflow, or is damaged."""


class UndecryptableValue(UnreadableValue):
    """
    A value is encrypted, and this process does not have its key.

    *key_id* is the id of that key. A run that needs the value pauses, and a step is tried again.
    """

    def __init__(self, problem: str, key_id: str) -> None:
        self.key_id = key_id
        super().__init__(problem)

    @classmethod
    def missing(cls, key_id: str) -> UndecryptableValue:
        """Make the error for a key that is not here."""
        return cls(
            f"a value is encrypted with key {key_id!r}, which this process does not have; "
            "add it to STEPFLOW_ENCRYPTION_KEYS",
            key_id,
        )

    @classmethod
    def refused(cls, key_id: str) -> UndecryptableValue:
        """Make the error for a value that the key of that name does not open."""
        return cls(
            f"a value is encrypted with key {key_id!r}, and the key of that name does not open it: "
            "it is another key, or the value was changed",
            key_id,
        )

    def __reduce__(self) -> tuple[type[UndecryptableValue], tuple[str, str]]:
        return type(self), (str(self), self.key_id)


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
