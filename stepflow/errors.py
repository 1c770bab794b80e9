"""
Everything stepflow raises, as one tree; the branch says whose move it is.

    StepflowError
    ├── UsageError            your call: change the call
    │   ├── InvalidRunId, InvalidName, InvalidOption, ReservedHeader
    │   ├── UnsupportedValue, PayloadTooLarge, NotAnInteger, SignalMisfit, AnswerMisfit
    │   ├── UnknownRunner, AppNotFound, WebhookRefused, NotReplayable
    │   └── RunConflict
    ├── RunStateError         this run's state: look at the run
    │   ├── RunNotFound, HookNotFound, NotRevivable, NotResumable
    │   ├── SignalRefused, MailboxFull, SpawnRefused, UnknownStep
    │   ├── AskNotFound, AskSettled
    │   └── RunFailed, RunCancelled
    ├── DataError             data we cannot read
    │   └── UnreadableValue, PayloadMismatch, UnreadableHistory
    ├── UnavailableError      try again (retryable)
    │   ├── RedisUnreachable, RedisRefused
    │   └── ReplyLost         the command may or may not have been carried out
    ├── ServerUnfit           this Redis cannot carry stepflow: too old, a cluster
    ├── EmbeddedServerError   the embedded server could not be started or joined
    ├── StepFailed            what a workflow sees of a step that failed for good
    ├── ChildFailed           what a workflow sees of a child that failed or was cancelled
    └── StepError             raised by your runners, read by the runtime
        ├── TransientError    try this step again
        └── PermanentError    end the run now

The class builds the sentence, callers pass facts. Control flow that user code must not swallow derives from
BaseException: `ClaimLost`.
"""

from __future__ import annotations

from typing import ClassVar


class StepflowError(Exception):
    """The root: catching it catches all that stepflow raises on purpose."""

    #: whether the same call may succeed later, unchanged
    retryable: ClassVar[bool] = False


class UsageError(StepflowError):
    """The call itself is at fault; the same call fails again."""


class InvalidRunId(UsageError):
    """A given run id does not match `[A-Za-z0-9_-]{1,128}`."""

    def __init__(self, run_id: object) -> None:
        super().__init__(f"run id {run_id!r} is not valid; use 1 to 128 letters, digits, '_' or '-'")


class InvalidName(UsageError):
    """A runner, queue or hook name that cannot be one."""

    def __init__(self, kind: str, name: object, rule: str) -> None:
        super().__init__(f"{kind} name {name!r} is not valid; {rule}")


class InvalidOption(UsageError):
    """An argument out of its range, or two that exclude each other."""


class ReservedHeader(UsageError):
    """A header key in the runtime's own name space."""

    def __init__(self, key: str) -> None:
        super().__init__(f"header {key!r} is reserved: keys starting with 'workflow.' belong to stepflow; rename it")


class UnsupportedValue(UsageError):
    """A value that cannot be stored, with the path that leads to it."""

    def __init__(self, path: str, problem: str) -> None:
        self.path = path
        super().__init__(f"{path}: {problem}; pass something msgpack carries, a dataclass or a pydantic model")


class PayloadTooLarge(UsageError):
    """A payload, result or header set over the limit."""

    def __init__(self, what: str, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"{what} is {size:,} bytes packed, over the limit of {limit:,}; store it elsewhere and pass a reference, "
            "or raise STEPFLOW_LIMITS_PAYLOAD_BYTES"
        )


class NotAnInteger(UsageError):
    """`incr` of a variable that holds no whole number, or beyond 64 bits."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"variable {name!r} holds no whole number, or its sum is beyond 64 bits; incr counts whole numbers only, "
            "set it to one first"
        )


class SignalMisfit(UsageError):
    """A signal's payload is not what the run waits for."""

    def __init__(self, run_id: str, name: str, problem: str) -> None:
        super().__init__(
            f"signal {name!r} does not fit what run {run_id!r} waits for: {problem}; correct the payload and send it again"
        )


class AnswerMisfit(UsageError):
    """An answer is not what the run asks for."""

    def __init__(self, token: str, problem: str) -> None:
        super().__init__(f"the answer to {token!r} does not fit what is asked: {problem}; correct it and answer again")


class UnknownRunner(UsageError):
    """A runner name that the app at hand has not registered."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"no runner is called {name!r} here; known: {', '.join(sorted(known)) or 'none'}")


class AppNotFound(UsageError):
    """`package.module:app` did not lead to a Stepflow object."""

    def __init__(self, target: str, problem: str) -> None:
        super().__init__(f"cannot load app {target!r}: {problem}; write it as package.module:app")


class WebhookRefused(UsageError):
    """A webhook target that stepflow will not call."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"webhook {url} is refused: {problem}")


class NotReplayable(UsageError):
    """Workflow code awaited something that a replay could not repeat."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"workflow code may not use {what}: it would not repeat itself on replay; put it into a ctx.step, "
            "and wait with ctx.sleep or ctx.signal"
        )


class RunConflict(UsageError):
    """The run id is taken by a run with another runner or input."""

    def __init__(self, run_id: str, difference: str, state: str) -> None:
        super().__init__(
            f"run {run_id!r} is {state} with a different {difference}; pick another run id, or wait for it to end and "
            'submit with on_conflict="restart"'
        )


class RunStateError(StepflowError):
    """The run exists, or does not, in a way that makes the call pointless."""


class RunNotFound(RunStateError):
    """No record of that run is kept (never submitted, or past its retention)."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id!r} is not known: never submitted here, or its record has expired")


class HookNotFound(RunStateError):
    """No record of that hook delivery is kept."""

    def __init__(self, hook_id: str) -> None:
        super().__init__(f"hook {hook_id!r} is not known: no such delivery, or its record has expired")


class NotRevivable(RunStateError):
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
        super().__init__(f"run {run_id!r} remembers no step {step!r}; it remembers: {', '.join(known) or 'nothing'}")


class SignalRefused(RunStateError):
    """A signal was sent to a run that has ended."""

    def __init__(self, run_id: str, name: str) -> None:
        super().__init__(f"run {run_id!r} has ended and takes no signal {name!r} any more")


class AskNotFound(RunStateError):
    """Nothing is asked under that token."""

    def __init__(self, token: str) -> None:
        super().__init__(f"nothing is asked under {token!r}: no such token, or its run has ended or begun anew")


class AskSettled(RunStateError):
    """It was answered before, its time is up, or the workflow wants it no more."""

    def __init__(self, token: str, word: str, when: str) -> None:
        self.token, self.word = token, word
        super().__init__(f"{token!r} was {word} at {when}; it takes no further answer")


class MailboxFull(RunStateError):
    """A run holds as many signals as it may and takes none out."""

    def __init__(self, run_id: str, limit: int) -> None:
        super().__init__(f"run {run_id!r} holds {limit} signals it has not asked for; it takes no more")


class SpawnRefused(RunStateError):
    """A run may begin no child: it was asked to stop, or it is nested as deep as runs may be, *limit*."""

    def __init__(self, run_id: str, limit: int | None = None) -> None:
        why = "was asked to stop" if limit is None else f"is nested {limit} deep, the limit (does it begin itself?)"
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


class DataError(StepflowError):
    """Something stored cannot be read as what it should be."""


class UnreadableValue(DataError):
    """Bytes in Redis that are not a packed value of ours."""


class PayloadMismatch(DataError):
    """A payload does not fit the runner's annotation."""

    def __init__(self, runner: str, problem: str) -> None:
        super().__init__(f"the payload does not fit runner {runner!r}: {problem}")


class UnreadableHistory(DataError):
    """A document that is no exported history."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"this is no history that `stepflow export` wrote ({problem})")


class UnavailableError(StepflowError):
    """Nothing is wrong with the call; try it again."""

    retryable = True


class RedisUnreachable(UnavailableError):
    """No answer from Redis after the retries the link was given."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"Redis at {url} does not answer ({problem}); start it or correct the URL")


class RedisRefused(UnavailableError):
    """Redis answered, with a refusal: out of memory, read-only, loading, no permission."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"Redis refused the command ({problem}); {hint}")


class ReplyLost(UnavailableError):
    """The connection broke between a command that must not be re-sent and its reply."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the reply to {name} was lost with the connection; it may have been carried out")


class ServerUnfit(StepflowError):
    """This Redis cannot carry stepflow."""


class EmbeddedServerError(StepflowError):
    """The embedded server could not be started, joined or stopped."""


class StepFailed(StepflowError):
    """
    A `ctx.step` failed for good: its attempts are used up, or it raised PermanentError.

    The same live and on replay, so it holds names and texts, not the exception itself.
    """

    def __init__(self, name: str, kind: str, message: str) -> None:
        self.step, self.error_type, self.error_message = name, kind, message
        super().__init__(f"step {name!r} failed ({kind}): {message}")


class ChildFailed(StepflowError):
    """A child ended otherwise than by success, *status* `failed` or `cancelled`; names and texts, as in StepFailed."""

    def __init__(self, run_id: str, status: str, kind: str, message: str) -> None:
        self.run_id, self.status, self.error_type, self.error_message = run_id, status, kind, message
        super().__init__(f"child {run_id!r} was {status}: {message}" if status == "cancelled" else
                         f"child {run_id!r} {status} ({kind}): {message}")  # fmt: skip


class StepError(StepflowError):
    """What a runner raises to tell the runtime what to do."""


class TransientError(StepError):
    """
    Try this step again, by the run's retry policy.

    *retry_after* (seconds) takes the place of the policy's wait when it is longer.
    """

    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        self.retry_after = None if retry_after is None else float(retry_after)
        super().__init__(message)


class PermanentError(StepError):
    """End the run as failed now; no further attempt helps."""


class ClaimLost(BaseException):
    """
    This worker no longer holds the step it is running; whatever it would write is refused.

    Raised into runner code (memo, extend) to end the activation. A BaseException, so `except Exception` lets it pass.
    """
