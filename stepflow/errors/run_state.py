"""The state of a run does not allow the call: look at the run."""

from __future__ import annotations

from stepflow.errors.base import StepflowError, did_you_mean, shown, stands
from stepflow.shell import to_type

#: steps named in one sentence
_NAMED = 50


class RunStateError(StepflowError):
    """The state of the run, hook or question does not allow this call."""


class RunNotFound(RunStateError):
    """There is no such run: it was never submitted, or its record has expired."""

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"there is no run {shown(run_id)}: it was never submitted here, or its record has "
            "expired"
        )


class HookNotFound(RunStateError):
    """There is no such hook delivery, or its record has expired."""

    def __init__(self, hook_id: str) -> None:
        super().__init__(f"there is no hook delivery {shown(hook_id)}, or its record has expired")


class NotRetryable(RunStateError):
    """You called `retry` for a run that has not failed, or that has begun to undo its steps."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"run {run_id!r} cannot be retried: {why}")


class NotResumable(RunStateError):
    """You called `resume` for a run that is not paused."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(f"run {run_id!r} {stands(state)}; only a paused run can be resumed")


class NotPausable(RunStateError):
    """You called `pause` for a run that has ended or is being stopped."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"run {run_id!r} cannot be paused: {why}")


class BreakerNotFound(RunStateError):
    """There is no such circuit breaker: no step has asked for it in the last week."""

    def __init__(self, name: str) -> None:
        self.breaker = name
        super().__init__(
            f"breaker {name!r} is not known; it is from the first step on that asks for it, until "
            "a week after the last"
        )


class BudgetNotFound(RunStateError):
    """There is no such budget: no step has spent of it, or not for a long time."""

    def __init__(self, account: str) -> None:
        self.budget = account
        super().__init__(
            f"budget {shown(account)} is not known; it is from the first step on that spends of it"
        )


class ScheduleNotFound(RunStateError):
    """There is no such schedule: it was never put here, or it was deleted."""

    def __init__(self, schedule_id: str) -> None:
        super().__init__(
            f"there is no schedule {shown(schedule_id)}: it was never put here, or it was deleted"
        )


class GroupNotFound(RunStateError):
    """No such group: it was never submitted here, was forgotten, or its record has expired."""

    def __init__(self, group_id: str) -> None:
        super().__init__(
            f"group {shown(group_id)} is not known: never submitted here, forgotten, or its record "
            "has expired"
        )


class GroupBusy(RunStateError):
    """You asked something of a group that it cannot do while it does something else."""

    def __init__(self, group_id: str, verb: str, state: str) -> None:
        self.group, self.state = group_id, state
        super().__init__(
            f"group {group_id!r} is {state} and cannot be asked to {verb} now; wait for its end, "
            "or cancel it and wait"
        )


class BulkNotFound(RunStateError):
    """No such bulk: it was never begun, or its record has expired."""

    def __init__(self, bulk_id: str) -> None:
        super().__init__(
            f"bulk {shown(bulk_id)} is not known: never begun here, or its record has expired"
        )


class BulkGrown(RunStateError):
    """Many more runs fit the conditions of a bulk than you expected; nothing was begun."""

    def __init__(self, expected: int, found: int) -> None:
        self.expected, self.found = expected, found
        super().__init__(
            f"{found:,} runs or more fit, {expected:,} were expected; look again, then begin it "
            "with what you see"
        )


class NotDeletable(RunStateError):
    """You called `delete` for a run that has not ended, or that others still have to hear of."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"run {run_id!r} cannot be deleted: {why}")


class NotScheduled(RunStateError):
    """You called `run_now` for a run that waits for no time of its own."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(
            f"run {run_id!r} {stands(state)}; only one that is scheduled, or waits for its next "
            "attempt, can run now"
        )


class NotRunning(RunStateError):
    """You called `now` for a run that no worker is running."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(
            f"run {run_id!r} {stands(state)}, and no worker is running it; "
            f"`{to_type('why', run_id)}` says what it waits for"
        )


class UnknownStep(RunStateError):
    """You called `fork` at a step that the run does not remember; *known* lists those it does."""

    def __init__(self, run_id: str, step: str, known: list[str]) -> None:
        self.known = known
        names = ", ".join(known[:_NAMED]) + (
            f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
        )
        super().__init__(
            f"run {run_id!r} remembers no step {shown(step)}; it remembers: {names or 'nothing'}"
        )


class SignalRefused(RunStateError):
    """You sent a signal to a run that has ended."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(
            f"run {run_id!r} has ended; it takes no more signals ({name!r} was not sent)"
        )


class QuestionNotFound(RunStateError):
    """No question has that token, or its run has ended or begun a new history."""

    def __init__(self, token: object) -> None:
        super().__init__(
            f"there is no open question {shown(token)}: the token is wrong, or its run has ended; "
            "`stepflow questions` lists the open ones"
        )


class QuestionClosed(RunStateError):
    """
    The question was answered before, its time is up, or its workflow no longer waits for it.

    *word* says which: `answered`, `timed out` or `withdrawn`.
    """

    def __init__(self, token: str, word: str, when: str) -> None:
        self.token, self.word = token, word
        super().__init__(f"question {token!r} was {word} at {when}; it takes one answer")


class MailboxFull(RunStateError):
    """The mailbox of the run is full: too many unread signals, or too many bytes of them."""

    def __init__(self, run_id: str, limit: int, *, of_bytes: bool = False) -> None:
        super().__init__(
            f"the mailbox of run {run_id!r} is full: {limit:,} bytes of signals that it has not "
            "read yet; send references instead, or raise STEPFLOW_LIMITS_MAILBOX_BYTES"
            if of_bytes
            else f"the mailbox of run {run_id!r} is full: {limit} signals that it has not read yet"
        )


class LimitFull(RunStateError):
    """So many runs wait for one key of a limit that no more may."""

    def __init__(self, name: str, key: str, waiting: int, most: int) -> None:
        self.limit, self.key = name, key
        super().__init__(
            f"{waiting:,} runs wait for limit {name!r}{f' of {key!r}' if key else ''}, whose line "
            f"takes {most:,}; submit later, or raise max_line of the limit"
        )


class LimitNotFound(RunStateError):
    """There is no such limit: no worker has declared it, and no operator has set it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"there is no limit {shown(name)}: no worker has declared it, and nobody has set it"
        )


class UnknownChild(RunStateError):
    """A workflow begins a run of a runner that no worker has known within a month."""

    def __init__(self, runner: str, known: list[str]) -> None:
        super().__init__(
            f"no worker knows a runner {runner!r} to begin; known: {', '.join(known) or 'none'}"
            f"{did_you_mean(runner, known)}"
        )


class SpawnRefused(RunStateError):
    """
    A run may not start another child.

    It was asked to stop, or it is itself nested *limit* deep, as deep as runs may be.
    """

    def __init__(self, run_id: str, limit: int | None = None) -> None:
        why = (
            "was asked to stop"
            if limit is None
            else f"is nested {limit} deep, the limit (does it start itself?)"
        )
        super().__init__(f"run {run_id!r} {why}; it may not start a child")


class RunFailed(RunStateError):
    """The run failed; `result` raises this."""

    def __init__(self, run_id: str, kind: str, message: str) -> None:
        self.run_id, self.error_type, self.error_message = run_id, kind, message
        super().__init__(f"run {run_id!r} failed ({kind}): {message}")


class RunCancelled(RunStateError):
    """The run was cancelled; `result` raises this. *reason* is None without one."""

    def __init__(self, run_id: str, reason: str | None) -> None:
        self.run_id, self.reason = run_id, reason
        super().__init__(f"run {run_id!r} was cancelled" + (f": {reason}" if reason else ""))
