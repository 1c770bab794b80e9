"""What steps raise, and what workflows see of steps and children that failed."""

from __future__ import annotations

from datetime import timedelta

from stepflow import times
from stepflow.errors.base import StepflowError


class StepFailed(StepflowError):
    """
    A `ctx.step` failed for good: its attempts are used up, or it raised PermanentError.

    The same live and on replay, so it holds names and texts, not the exception itself.
    """

    def __init__(self, name: str, kind: str, message: str) -> None:
        self.step, self.error_type, self.error_message = name, kind, message
        super().__init__(f"step {name!r} failed ({kind}): {message}")


class ChildFailed(StepflowError):
    """
    A child ended otherwise than by success, *status* `failed` or `cancelled`.

    Names and texts, as in StepFailed.
    """

    def __init__(self, run_id: str, status: str, kind: str, message: str) -> None:
        self.run_id, self.status, self.error_type, self.error_message = (
            run_id,
            status,
            kind,
            message,
        )
        super().__init__(f"child {run_id!r} was {status}: {message}" if status == "cancelled" else
                         f"child {run_id!r} {status} ({kind}): {message}")  # fmt: skip


class StepError(StepflowError):
    """What a runner raises to tell the runtime what to do."""


class TransientError(StepError):
    """
    Try this step again, by the run's retry policy.

    *retry_after* (seconds or timedelta) takes the place of the policy's wait when it is longer.
    """

    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | timedelta | None = None) -> None:
        self.retry_after = (
            None
            if retry_after is None
            else times.seconds(retry_after, "retry_after of TransientError")
        )
        super().__init__(message)


class PermanentError(StepError):
    """End the run as failed now; no further attempt helps."""


class ClaimLost(BaseException):
    """
    This worker no longer holds the step it is running; whatever it would write is refused.

    Raised into runner code (memo, extend) to end the activation. A BaseException, so `except
    Exception` lets it pass.
    """
