"""The store for large values: it does not answer, or what it has is not what was put there."""

from __future__ import annotations

from stepflow.errors.data import UnreadableValue
from stepflow.errors.server import UnavailableError


class OffloadUnreachable(UnavailableError):
    """
    The store for large values does not answer, or refuses for now.

    *store* is where it is, *what* the value that was to be written or read.
    """

    def __init__(self, store: str, what: str, problem: str) -> None:
        self.store, self.what = store, what
        super().__init__(
            f"{what} cannot be reached: the store for large values at {store} does not answer "
            f"({problem}); bring it back or correct STEPFLOW_OFFLOAD_URL"
        )

    def __reduce__(self) -> tuple[type[UnavailableError], tuple[str, str, str]]:
        problem = str(self).partition("does not answer (")[2].rpartition("); bring it")[0]
        return type(self), (self.store, self.what, problem)


class UnreadableOffload(UnreadableValue):
    """
    A large value is not in its store, or is not what was put there.

    A run that needs the value pauses.
    """

    @classmethod
    def missing(cls, store: str, path: str) -> UnreadableOffload:
        """Make the error for a value that is not there."""
        return cls(
            f"the store for large values at {store} has no {path}: it was deleted, or this is "
            "another store; put it back, then resume the run"
        )

    @classmethod
    def damaged(cls, store: str, path: str, problem: str) -> UnreadableOffload:
        """Make the error for a value that is not what was put there."""
        return cls(
            f"{path} in the store for large values at {store} is not what was put there "
            f"({problem}); put it back from a copy, then resume the run"
        )

    @classmethod
    def without_store(cls, path: str, size: int) -> UnreadableOffload:
        """Make the error of a process that has no store."""
        return cls(
            f"a value of {size:,} bytes is offloaded, at {path}, and this process has no store for "
            "large values; set STEPFLOW_OFFLOAD_URL as it is where the run was submitted"
        )
