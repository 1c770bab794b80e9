"""
Everything that stepflow raises, as one tree; the branch says what you can do about it.

    StepflowError
    ├── UsageError            your call: change the call
    │   ├── InvalidRunId, InvalidName and its NameTaken, InvalidOption, ReservedHeader
    │   ├── UnsupportedValue, PayloadTooLarge, NotAnInteger, SignalMisfit, AnswerMisfit
    │   ├── StepOver, NotInStep, OutputOverflow
    │   ├── UnknownRunner, AppNotFound, WebhookRefused, NotReplayable, ResultMismatch
    │   ├── LifespanNotOpen
    │   └── RunConflict
    ├── RunStateError         this run's state: look at the run
    │   ├── RunNotFound, HookNotFound, NotRetryable, NotResumable, NotPausable, NotScheduled
    │   ├── NotDeletable, NotRunning, BulkNotFound, BulkGrown
    │   ├── SignalRefused, MailboxFull, SpawnRefused, UnknownChild, UnknownStep
    │   ├── QuestionNotFound, QuestionClosed
    │   └── RunFailed, RunCancelled
    ├── DataError             data we cannot read
    │   └── UnreadableValue, UnreadableRecord, PayloadMismatch, UnreadableHistory
    ├── UnavailableError      try again (retryable)
    │   ├── RedisUnreachable
    │   ├── RedisRefused      and RightsMissing, of its user
    │   ├── WorkerSilent      a worker did not answer what it is doing
    │   └── ReplyLost         the command may or may not have been carried out
    ├── ServerUnfit           this Redis cannot carry stepflow: too old, a cluster
    ├── EmbeddedServerError   the embedded server could not be started or joined
    ├── LifespanFailed        what your app opens with its worker could not be opened
    ├── CancelRequested       this run was asked to stop: leave the step
    ├── StepFailed            what a workflow sees of a step that failed for good
    ├── ChildFailed           what a workflow sees of a child that failed or was cancelled
    └── StepError             raised by your runners, read by the runtime
        ├── TransientError    try this step again
        └── PermanentError    end the run now

Each class builds its own sentence from the facts that callers pass. Control flow that user code
must not swallow derives from BaseException: `ClaimLost`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from stepflow.durations import RULE, length_s

#: characters of a value that an error's sentence shows
_SHOWN = 200


def shown(value: object) -> str:
    """
    Return the repr of a value for an error's sentence, cut after 200 characters.

    Never raises, whatever the value's own `__repr__` does.
    """
    try:
        text = repr(value)
    # a __repr__ of user code may raise anything; an int of too many digits raises, too
    except BaseException:  # noqa: BLE001
        bits = f" of {value.bit_length():,} bits" if isinstance(value, int) else ""
        return f"<{type(value).__name__}{bits}>"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return the end of a sentence that names the nearest of the known names; "" without one."""
    from difflib import get_close_matches  # noqa: PLC0415  wanted only for a mistake

    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class StepflowError(Exception):
    """The base of all errors of stepflow."""

    #: whether the same call may succeed later, unchanged
    retryable: ClassVar[bool] = False


class UsageError(StepflowError):
    """Your call is wrong: the same call will fail again."""


class InvalidRunId(UsageError):
    """A run id does not match `[A-Za-z0-9_-]{1,128}`."""

    def __init__(self, run_id: object) -> None:
        super().__init__(
            f"run id {shown(run_id)} is not valid; use 1 to 128 letters, digits, '_' or '-'"
        )


class InvalidName(UsageError):
    """The name of a runner, queue or hook breaks the rules for names."""

    def __init__(self, kind: str, name: object, rule: str) -> None:
        super().__init__(f"{kind} name {shown(name)} is not valid; {rule}")


class NameTaken(InvalidName):
    """A runner, workflow or hook of that name, and version, is registered already."""

    def __init__(
        self, name: str, version: int | None = None, free_version: int | None = None
    ) -> None:
        what = f"{name!r}" if version is None else f"{name!r} version {version}"
        advice = "rename one of the two"
        if free_version is not None:
            advice = f"rename it or pass version={free_version}"
        UsageError.__init__(self, f"{what} is already registered; {advice}")


class InvalidOption(UsageError):
    """An argument is invalid, or two arguments exclude each other."""


class ReservedHeader(UsageError):
    """A header key begins with `workflow.`, which is reserved for stepflow."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"header {key!r} is reserved: keys starting with 'workflow.' belong to stepflow; "
            "rename it"
        )


class UnsupportedValue(UsageError):
    """A value cannot be stored; *path* leads to it, like `payload.items[3]`."""

    def __init__(self, path: str, problem: str, advice: str | None = None) -> None:
        self.path = path
        advice = advice or "pass something msgpack carries, a dataclass or a pydantic model"
        super().__init__(f"{path}: {problem}; {advice}")


class PayloadTooLarge(UsageError):
    """A payload, result or set of headers is larger than the limit, both in packed bytes."""

    def __init__(self, what: str, size: int, limit: int, *, setting: str = "PAYLOAD_BYTES") -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"{what} is {size:,} bytes packed, over the limit of {limit:,}; store it elsewhere and "
            f"pass a reference, or raise STEPFLOW_LIMITS_{setting}"
        )


class StepOver(UsageError):
    """An effect was written, or something emitted, after its step had returned."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} comes too late: its step has returned, and its commit would not apply it; "
            "do it before, and wait for your own threads and tasks"
        )


class NotInStep(UsageError):
    """`stepflow.emit` was called where no step, runner or job is running."""

    def __init__(self) -> None:
        super().__init__(
            "stepflow.emit was called outside of a step, or in a thread that does not know of its "
            "step: start threads with asyncio.to_thread or contextvars.copy_context().run; in "
            "workflow code call ctx.emit; in a unit test use stepflow.testing.captured_output()"
        )


class OutputOverflow(UsageError):
    """A step emits faster than Redis accepts it, and does not wait."""

    def __init__(self, run_id: str, waiting: int) -> None:
        super().__init__(
            f"run {run_id!r}: {waiting:,} emitted items are not written yet; "
            "write `await stepflow.emit(...)`, which waits until Redis has taken them"
        )


class NotAnInteger(UsageError):
    """`incr` found a variable that is no whole number, or would leave the range of 64 bits."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"variable {name!r} is no whole number, or the sum does not fit into 64 bits; set it "
            "to a whole number first"
        )


class SignalMisfit(UsageError):
    """The payload of a signal does not fit the type that the run waits for."""

    def __init__(self, run_id: str, name: str, problem: str) -> None:
        super().__init__(
            f"signal {name!r} does not fit the type that run {run_id!r} waits for: {problem}; "
            "correct the payload and send it again"
        )


class AnswerMisfit(UsageError):
    """An answer does not fit the type or schema of its question."""

    def __init__(self, token: str, problem: str) -> None:
        super().__init__(
            f"the answer to question {token!r} has the wrong type: {problem}; correct it and "
            "answer again"
        )


class UnknownRunner(UsageError):
    """The app has registered no runner of that name, or no worker knows one."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(
            f"no runner is called {name!r} here; known: {', '.join(sorted(known)) or 'none'}"
            f"{did_you_mean(name, known)}"
        )


class AppNotFound(UsageError):
    """`package.module:app` did not lead to a Stepflow object."""

    def __init__(
        self, target: str, problem: str, hint: str = "write it as package.module:app"
    ) -> None:
        super().__init__(f"cannot load app {target!r}: {problem}; {hint}")


class WebhookRefused(UsageError):
    """A webhook has a target that stepflow will not call, such as a private address."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"webhook {url} is refused: {problem}")


class NotReplayable(UsageError):
    """Workflow code called something that is not the same on replay."""

    def __init__(self, what: str, place: str = "") -> None:
        where = f" ({place})" if place else ""
        super().__init__(
            f"workflow code may not use {what}{where}: it would not repeat itself on replay; put "
            "it into a ctx.step, and wait with ctx.sleep or ctx.wait_for_signal"
        )


class ResultMismatch(UsageError):
    """A workflow returned something other than what it declares."""

    def __init__(self, workflow: str, result: object, problem: str) -> None:
        super().__init__(
            f"workflow {workflow!r} returned {shown(result)}, which does not fit its return "
            f"annotation: {problem}; return what it declares, or correct the annotation"
        )


class RunConflict(UsageError):
    """A run with another runner or input already has this id."""

    def __init__(self, run_id: str, difference: str, state: str) -> None:
        super().__init__(
            f"run {run_id!r} is {state} with a different {difference}; pick another run id, or "
            'wait for it to end and submit with on_conflict="restart"'
        )


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
        super().__init__(f"run {run_id!r} is {state}; only a paused run can be resumed")


class NotPausable(RunStateError):
    """You called `pause` for a run that has ended or is being stopped."""

    def __init__(self, run_id: str, why: str) -> None:
        super().__init__(f"run {run_id!r} cannot be paused: {why}")


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
            f"run {run_id!r} is {state}; only one that is scheduled, or waits for its next "
            "attempt, can run now"
        )


class NotRunning(RunStateError):
    """You called `now` for a run that no worker is running."""

    def __init__(self, run_id: str, state: str) -> None:
        super().__init__(
            f"run {run_id!r} is {state}, and no worker is running it; `stepflow why {run_id}` says "
            "what it waits for"
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


class LifespanFailed(StepflowError):
    """A lifespan of the app raised when its worker started; the worker does not start."""

    def __init__(self, name: str, error: str, trace: str) -> None:
        self.lifespan = name
        super().__init__(
            f"the worker does not start: lifespan {name!r} raised {error}\n{trace.rstrip()}"
        )


class LifespanNotOpen(UsageError):
    """The `value` of a lifespan was read where no worker has opened it."""

    def __init__(self, name: str) -> None:
        self.lifespan = name
        super().__init__(
            f"lifespan {name!r} is not open here; workers and harnesses open it: use it in steps, "
            "runners, jobs and hooks"
        )


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


class UnavailableError(StepflowError):
    """Nothing is wrong with your call: try it again."""

    retryable = True


class RedisUnreachable(UnavailableError):
    """Redis did not answer for `STEPFLOW_REDIS_RETRY_FOR_S` seconds."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(f"Redis at {url} does not answer ({problem}); start it or correct the URL")


class RedisRefused(UnavailableError):
    """
    Redis refused the command: out of memory, read-only, loading, no permission.

    *passes* is True when the reason lies with the server: the same call may succeed later.
    """

    #: the words of refusals that pass, at the start of an answer or after a script's own words
    PASSING = ("OOM", "MISCONF", "NOREPLICAS", "READONLY", "LOADING", "MASTERDOWN", "BUSY")
    #: the words of refusals for want of rights; the second and third come out of scripts
    RIGHTS = ("NOPERM", "ACL failure", "executing the script can't")

    def __init__(self, problem: str, hint: str, *, word: str = "") -> None:
        #: the first word of the answer, `READONLY` say
        self.word = word
        self.is_about_rights = any(words in problem for words in self.RIGHTS)
        self.passes = self.is_about_rights or any(word in problem for word in self.PASSING)
        super().__init__(f"Redis refused the command ({problem}); {hint}")


class RightsMissing(RedisRefused):
    """The Redis user lacks rights that its role needs; *rules* are for `ACL SETUSER`."""

    def __init__(self, user: str, role: str, rules: Sequence[str]) -> None:
        lacking = " ".join(rules)
        super().__init__(
            f"NOPERM user {user!r} lacks what a {role} needs: {lacking}",
            f"grant it: ACL SETUSER {user} {lacking}",
        )


class ReplyLost(UnavailableError):
    """The connection broke before the reply to a command that must not be sent twice."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the reply to {name} was lost with the connection; it may have been carried out"
        )


class WorkerSilent(UnavailableError):
    """The worker that has the run did not answer in time what it is doing for it."""

    def __init__(self, run_id: str, worker: str, limit_s: float) -> None:
        self.worker = worker
        super().__init__(
            f"worker {worker} has run {run_id!r} and did not answer within {limit_s:g} s; "
            f"`stepflow why {run_id}` says whether it is alive"
        )


class ServerUnfit(StepflowError):
    """This Redis cannot be used: it is too old, or a Cluster."""


class EmbeddedServerError(StepflowError):
    """The embedded server could not be started, joined or stopped."""


class NoServer(EmbeddedServerError):
    """No Redis URL is set, and no embedded server runs here that this call could join."""

    def __init__(self, folder: object, *, is_off: bool) -> None:
        self.folder = folder
        super().__init__(
            "STEPFLOW_REDIS_URL is not set, and STEPFLOW_EMBEDDED=0 forbids the embedded server; "
            "set STEPFLOW_REDIS_URL to the URL of your Redis"
            if is_off
            else "no server runs here; STEPFLOW_REDIS_URL is not set. Set it to the URL of your "
            f"Redis, or start `stepflow dev` or a worker where {folder} is the data's folder"
        )


class CancelRequested(StepflowError):
    """The run was asked to stop; `step.cancel.raise_if_set` raises this."""


class StepFailed(StepflowError):
    """
    A `ctx.step` failed for good: its attempts are used up, or it raised PermanentError.

    Its own fields are names and texts, the same live and on replay: decide by these. Live its
    `__cause__` is what the step raised; on replay a note has the text of that.
    """

    def __init__(self, name: str, kind: str, message: str) -> None:
        self.step, self.error_type, self.error_message = name, kind, message
        super().__init__(f"step {name!r} failed ({kind}): {message}")


class ChildFailed(StepflowError):
    """
    A child run did not succeed; *status* is `failed` or `cancelled`.

    Holds names and texts, like StepFailed.
    """

    def __init__(self, run_id: str, status: str, kind: str, message: str) -> None:
        self.run_id, self.status = run_id, status
        self.error_type, self.error_message = kind, message
        how = f"was {status}" if status == "cancelled" else f"{status} ({kind})"
        super().__init__(f"child {run_id!r} {how}: {message}")


class StepError(StepflowError):
    """The base of the errors that your code raises to say what happens to the step."""


class TransientError(StepError):
    """
    Raise it to have the step tried again, whatever the retry policy says about other errors.

    The policy still limits the attempts. *retry_after* (seconds or timedelta) is the least time to
    wait before the next one. Raises InvalidOption when it is no duration.
    """

    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | timedelta | None = None) -> None:
        self.retry_after = None if retry_after is None else length_s(retry_after)
        if retry_after is not None and self.retry_after is None:
            msg = f"retry_after of TransientError is {shown(retry_after)}; {RULE}"
            raise InvalidOption(msg)
        super().__init__(message)


class PermanentError(StepError):
    """Raise it when another attempt cannot help: the step fails for good."""


class ClaimLost(BaseException):
    """
    Another worker has taken over the step that this one is running.

    `step.memo` and `step.extend` raise it to end your code; nothing that it writes would count. It
    is a BaseException, so that `except Exception` does not catch it.
    """
