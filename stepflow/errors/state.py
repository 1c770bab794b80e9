"""This run's state is in the way: look at the run."""

from __future__ import annotations

from stepflow.errors.base import StepflowError, shown

#: steps named in one sentence
_NAMED = 50


class RunStateError(StepflowError):
    """The run exists, or does not, in a way that makes the call pointless."""


class RunNotFound(RunStateError):
    """No record of that run is kept (never submitted, or past its retention)."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {shown(run_id)} is not known: never submitted here, or its record has expired"
        )


class HookNotFound(RunStateError):
    """No record of that hook delivery is kept."""

    def __init__(self, hook_id: str) -> None:
        super().__init__(
            f"hook {shown(hook_id)} is not known: no such delivery, or its record has expired"
        )


class NotRetryable(RunStateError):
    """`retry` was called for a run that has not failed, or that has undone what it did."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"run {run_id!r} cannot be retried: {why}")


class NotResumable(RunStateError):
    """`resume` was called for a run that is not paused."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(f"run {run_id!r} is {state}; only a paused run can be resumed")


class UnknownStep(RunStateError):
    """A run was to be forked at a step that it does not remember."""

    def __init__(self, run_id: str, step: str, known: list[str]) -> None:
        self.known = known
        names = ", ".join(known[:_NAMED]) + (
            f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
        )
        super().__init__(
            f"run {run_id!r} remembers no step {shown(step)}; it remembers: {names or 'nothing'}"
        )


class SignalRefused(RunStateError):
    """A signal was sent to a run that has ended."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(f"run {run_id!r} has ended and takes no signal {name!r} any more")


class QuestionNotFound(RunStateError):
    """Nothing is asked under that token."""

    def __init__(self, token: object) -> None:
        super().__init__(
            f"nothing is asked under {shown(token)}: no such token, or its run has ended or begun anew"
        )


class QuestionClosed(RunStateError):
    """It was answered before, its time is up, or the workflow wants it no more."""

    def __init__(self, token: str, word: str, when: str) -> None:
        self.token, self.word = token, word
        super().__init__(f"{token!r} was {word} at {when}; it takes no further answer")


class MailboxFull(RunStateError):
    """A run holds as many signals as it may, or as many bytes of them, and takes none out."""

    def __init__(self, run_id: str, limit: int, *, of_bytes: bool = False) -> None:
        super().__init__(
            f"run {run_id!r} has no room for this signal beside those it has not asked for, the limit is {limit:,} bytes of "
            "them; send references instead, or raise STEPFLOW_LIMITS_MAILBOX_BYTES"
            if of_bytes
            else f"run {run_id!r} holds {limit} signals it has not asked for; it takes no more"
        )


class SpawnRefused(RunStateError):
    """
    A run may begin no child.

    It was asked to stop, or it is nested as deep as runs may be, *limit*.
    """

    def __init__(self, run_id: str, limit: int | None = None) -> None:
        why = (
            "was asked to stop"
            if limit is None
            else f"is nested {limit} deep, the limit (does it begin itself?)"
        )
        super().__init__(f"run {run_id!r} {why}; it begins no more children")


class RunFailed(RunStateError):
    """`result` was asked of a run that failed."""

    def __init__(self, run_id: str, kind: str, message: str) -> None:
        self.run_id, self.error_type, self.error_message = run_id, kind, message
        super().__init__(f"run {run_id!r} failed ({kind}): {message}")


class RunCancelled(RunStateError):
    """`result` was asked of a run that was cancelled."""

    def __init__(self, run_id: str, reason: str | None) -> None:
        self.run_id, self.reason = run_id, reason
        super().__init__(f"run {run_id!r} was cancelled" + (f": {reason}" if reason else ""))
