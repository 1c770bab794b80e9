"""
The run's state machine: one table, and the one function that knows what an outcome means.

A live run stands in exactly one of these, and each says where its next move comes from:

    state       the record holds                         moved by
    ---------   --------------------------------------   ------------------------------------------
    scheduled   a delivery, due later                    the due mover, when its time has come
    pending     a delivery, in its queue                 a claim
    waiting     a delivery, in no queue                  its due time, or something put into its inbox
    paused      a delivery, in no queue                  somebody who resumes it
    running     a claim token, its lease in the claims   the worker that holds it; recovery after its lease

    from                    what happens                               transition        to
    ---------------------   ----------------------------------------   ---------------   ------------------
    running                 Continue, due now or later                 advance           running/pending, scheduled
    running                 Park                                       park              waiting
    running                 Pause                                      pause             paused
    running                 Succeed, Fail, Cancel                      finish            succeeded, failed, cancelled
    running                 raised, attempts left                      retry             scheduled
    running                 raised for good, or attempts used up       finish            failed
    running                 lost with its worker                       retry             pending, scheduled
    running                 lost too often                             finish            failed
    running                 handed back by a leaving worker            hand_back         pending
    running                 asked to stop (cancel, deadline)           mark              running (shown: cancelling)
    running, marked         anything but the runner's own Cancel       finish            cancelled, failed
    scheduled ... paused    asked to stop                              finish            cancelled, failed
    waiting                 due, or its inbox was added to             (a script)        pending
    paused                  resumed                                    resume            pending
    pending                 its knock was lost                         retry             pending
    failed                  retry asked for                            revive            pending
    any                     the claim is another's, the step settled   drop              unchanged

Order of precedence within `decide`: a settled step, the runner's own Cancel, an outside stop, then the outcome. Every
transition but drop and mark ends the present claim; the engine may keep an `advance` that is due now.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stepflow.core.backoff import RetryPolicy, crash_wait_s
from stepflow.core.outcomes import (
    FOREVER_S,
    Cancel,
    Continue,
    ErrorInfo,
    Fail,
    HandBack,
    Lost,
    Outcome,
    Park,
    Pause,
    Raised,
    Succeed,
)
from stepflow.core.run import Run, RunState, Stop, StopKind


class Kind(StrEnum):
    """What the store has to do for a transition."""

    ADVANCE = "advance"
    RETRY = "retry"
    PARK = "park"
    PAUSE = "pause"
    FINISH = "finish"
    MARK = "mark"
    REVIVE = "revive"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a run. Made by the named constructors only; *why* is for the log."""

    kind: Kind
    state: RunState
    step: int = 0
    failures: int = 0
    crashes: int = 0
    #: unix seconds; None means now
    due_at: float | None = None
    payload: Any = None
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None
    stop: Stop | None = None
    why: str = ""
    #: how much of the inbox the step has seen, for a park that anything new ends
    inbox: int | None = None

    @classmethod
    def advance(cls, step: int, payload: Any, *, due_at: float | None) -> Transition:
        """Close the present step and go on with *step*."""
        return cls(Kind.ADVANCE, _waiting(due_at), step, due_at=due_at, payload=payload)

    @classmethod
    def retry(cls, run: Run, *, failures: int, crashes: int, due_at: float | None, why: str) -> Transition:
        """Hand the present step over again."""
        return cls(Kind.RETRY, _waiting(due_at), run.step, failures, crashes, due_at=due_at, why=why)

    @classmethod
    def park(cls, run: Run, *, due_at: float | None, inbox: int | None, why: str) -> Transition:
        """Close the present step and let the run stand until its time, or its inbox, wakes it."""
        return cls(Kind.PARK, RunState.WAITING, run.step + 1, due_at=due_at, inbox=inbox, why=why)

    @classmethod
    def pause(cls, run: Run, why: str) -> Transition:
        """Let the run stand until somebody resumes it."""
        return cls(Kind.PAUSE, RunState.PAUSED, run.step, run.failures, run.crashes, reason=why, why=why)

    @classmethod
    def resume(cls, run: Run) -> Transition:
        """Hand over a paused run's step again, attempts fresh."""
        return cls(Kind.RETRY, RunState.PENDING, run.step, why="resumed")

    @classmethod
    def finish(
        cls,
        run: Run,
        state: RunState,
        *,
        result: Any = None,
        error: ErrorInfo | None = None,
        reason: str | None = None,
        why: str = "",
    ) -> Transition:
        """End the run."""
        return cls(
            Kind.FINISH, state, run.step, run.failures, run.crashes, result=result, error=error, reason=reason, why=why
        )

    @classmethod
    def mark(cls, run: Run, stop: Stop) -> Transition:
        """Leave the run with its worker, which is told to stop."""
        return cls(Kind.MARK, run.state, run.step, run.failures, run.crashes, stop=stop)

    @classmethod
    def revive(cls, run: Run) -> Transition:
        """Take a failed run up again at its last step, attempts fresh."""
        return cls(Kind.REVIVE, RunState.PENDING, run.step)

    @classmethod
    def drop(cls, run: Run, why: str) -> Transition:
        """Change nothing."""
        return cls(Kind.DROP, run.state, run.step, run.failures, run.crashes, why=why)


def _waiting(due_at: float | None) -> RunState:
    return RunState.PENDING if due_at is None else RunState.SCHEDULED


def decide(  # noqa: C901  one match with a case for every outcome
    run: Run,
    step: int,
    outcome: Outcome,
    policy: RetryPolicy,
    now: float,
    *,
    spread: float = 0.5,
    max_crashes: int = 10,
) -> Transition:
    """
    Say what becomes of *run* after its *step* reported *outcome*.

    Pure: the same arguments always give the same transition. *now* is unix seconds by the server's clock, *spread* the
    caller's random number in [0, 1) for the wait before a retry.
    """
    if run.is_finished or run.step != step:
        return Transition.drop(run, "another delivery already settled this step")
    if isinstance(outcome, Cancel):
        return Transition.finish(run, RunState.CANCELLED, reason=outcome.reason)
    if run.stop is not None:
        return end_of_stop(run, run.stop)
    match outcome:
        case Continue(payload=payload):
            if run.deadline_at and now >= run.deadline_at:
                return end_of_stop(run, Stop(StopKind.DEADLINE))
            return Transition.advance(step + 1, payload, due_at=_later(outcome.due_at(now), now))
        case Park(due_at=due_at, inbox=inbox, waits_for=waits_for):
            return Transition.park(run, due_at=due_at, inbox=inbox, why=waits_for)
        case Pause(reason=reason):
            return Transition.pause(run, reason)
        case Succeed(result=result):
            return Transition.finish(run, RunState.SUCCEEDED, result=result)
        case Fail(reason=reason):
            return Transition.finish(run, RunState.FAILED, error=ErrorInfo("Fail", reason), reason=reason)
        case Raised():
            return _after_error(run, outcome, policy, now, spread)
        case Lost():
            return _after_loss(run, outcome, now, spread, max_crashes)
        case HandBack():
            return Transition.retry(
                run, failures=run.failures, crashes=run.crashes, due_at=None, why="handed back by a leaving worker"
            )
    msg = f"decide was given {outcome!r}, which is no outcome"
    raise TypeError(msg)


def decide_stop(run: Run, stop: Stop, *, overdue: bool = False) -> Transition:
    """
    Say what becomes of *run* when somebody outside asks it to stop.

    *overdue* says that a marked run was given its grace and did not end: then it ends without its worker.
    """
    if run.is_finished:
        return Transition.drop(run, f"the run is already {run.state}")
    if not run.is_claimed or (overdue and run.stop is not None):
        return end_of_stop(run, run.stop or stop)
    if run.stop is not None:
        return Transition.drop(run, f"the run was already asked to stop ({run.stop.kind})")
    return Transition.mark(run, stop)


def decide_revival(run: Run) -> Transition:
    """Say what becomes of *run* when somebody asks to retry it: only a failed run is revived."""
    if run.state is not RunState.FAILED:
        return Transition.drop(run, f"the run is {run.state}")
    return Transition.revive(run)


def end_of_stop(run: Run, stop: Stop) -> Transition:
    """Give the end that a stop leads to: cancelled for a cancel, failed for a deadline."""
    if stop.kind is StopKind.DEADLINE:
        error = ErrorInfo("DeadlineExceeded", "deadline: the run's timeout passed before it ended")
        return Transition.finish(run, RunState.FAILED, error=error, reason="deadline", why="deadline")
    return Transition.finish(run, RunState.CANCELLED, reason=stop.reason, why="cancelled from outside")


def _after_error(run: Run, raised: Raised, policy: RetryPolicy, now: float, spread: float) -> Transition:
    failures = run.failures + 1
    if raised.retryable and run.deadline_at and now >= run.deadline_at:
        return end_of_stop(run, Stop(StopKind.DEADLINE))
    if not raised.retryable or failures >= policy.max_attempts:
        why = "permanent" if not raised.retryable else f"attempt {failures} of {policy.max_attempts} was the last"
        return Transition.finish(run, RunState.FAILED, error=raised.error, reason=raised.error.message, why=why)
    wait_s = min(FOREVER_S, max(policy.wait_s(failures, spread), raised.retry_after_s or 0.0))
    due_at = _later(now + wait_s, now)
    why = f"attempt {failures + 1} of {policy.max_attempts} in {wait_s:.3g} s"
    return Transition.retry(run, failures=failures, crashes=run.crashes, due_at=due_at, why=why)


def _after_loss(run: Run, lost: Lost, now: float, spread: float, max_crashes: int) -> Transition:
    if run.deadline_at and now >= run.deadline_at:
        return end_of_stop(run, Stop(StopKind.DEADLINE))
    crashes = run.crashes + 1
    if crashes > max_crashes:
        text = (
            f"step {run.step} was lost with its worker {crashes} times, max_crashes is {max_crashes}; it may kill them"
        )
        return Transition.finish(
            run, RunState.FAILED, error=ErrorInfo("WorkerLost", text), reason=text, why="poison step"
        )
    wait_s = crash_wait_s(crashes, spread)
    due_at = now + wait_s if wait_s else None
    return Transition.retry(run, failures=run.failures, crashes=crashes, due_at=due_at, why=lost.why)


def _later(due_at: float | None, now: float) -> float | None:
    """Give None for what is due already: only a future time needs the due set."""
    return due_at if due_at is not None and due_at > now else None
