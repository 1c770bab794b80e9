"""What `ctx.map` and `ctx.gather` raise when their join is not met, and give for what failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stepflow.errors.base import StepflowError
from stepflow.errors.user_code import ChildFailed

#: errors that an error about many shows
_SHOWN = 3


class NotAnswered(StepflowError):
    """A branch of `ctx.gather` was cancelled: its join was settled before it had ended."""

    def __init__(self, index: int) -> None:
        self.index = index
        super().__init__(f"branch[{index}] had not ended when the join was settled")


class JoinNotMet(StepflowError):
    """
    The join of a `ctx.map` or `ctx.gather` was not met.

    *join* is the join in words, *total* how many there were, *succeeded* the results by index,
    *failed* the indexes of those that failed. *errors* has the first three with their index, *more*
    how many others there are. *timed_out* says that its time was up.
    """

    def __init__(
        self,
        join: str,
        total: int,
        *,
        succeeded: Mapping[int, Any],
        failed: Mapping[int, Exception],
        timed_out: bool = False,
    ) -> None:
        self.join, self.total, self.timed_out = join, total, timed_out
        self.succeeded = dict(succeeded)
        self.failed = tuple(failed)
        self.errors: Sequence[tuple[int, Exception]] = tuple(failed.items())[:_SHOWN]
        self.more = len(failed) - len(self.errors)
        StepflowError.__init__(self, self._sentence())  # of a MapNotMet the next is ChildFailed's

    def _sentence(self) -> str:
        counts = f"{len(self.succeeded)} succeeded, {len(self.failed)} failed"
        open_ = self.total - len(self.succeeded) - len(self.failed)
        late = f", {open_} had not ended when its time was up" if self.timed_out else ""
        told = [f"[{index}] {type(error).__name__}: {error}" for index, error in self.errors]
        more = [f"and {self.more} more"] if self.more else []
        errors = f": {'; '.join([*told, *more])}" if told else ""
        return f"join {self.join} of {self.total} is not met: {counts}{late}{errors}"


class MapNotMet(JoinNotMet, ChildFailed):
    """
    A map whose children failed: a JoinNotMet that is a ChildFailed as well.

    *run_id*, *status*, *error_type* and *error_message* are of the child by whose end the join
    could no longer be met.
    """

    def __init__(
        self,
        join: str,
        total: int,
        *,
        succeeded: Mapping[int, Any],
        failed: Mapping[int, Exception],
        decisive: ChildFailed,
    ) -> None:
        JoinNotMet.__init__(self, join, total, succeeded=succeeded, failed=failed)
        self.run_id, self.status = decisive.run_id, decisive.status
        self.error_type, self.error_message = decisive.error_type, decisive.error_message
