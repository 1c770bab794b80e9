"""
The run's state machine: one table, and the one function that knows what an outcome means.

A live run is in exactly one of these states, and each says where its next move comes from:

    state       the record holds                    moved by
    ---------   ---------------------------------   ------------------------------------------
    scheduled   a delivery, due later               the due mover, when its time has come
    pending     a delivery, in its queue            a claim
    waiting     a delivery, in no queue             its due time, or an arrival in its inbox
    paused      a delivery, in no queue             somebody who resumes it
    running     a claim token with a lease          the worker that claimed it; recovery after that

    from                    what happens                          transition       to
    ---------------------   -----------------------------------   --------------   -----------------
    running                 Continue, due now or later            advance          running, pending,
                                                                                   scheduled
    running                 ContinueAsNew                         restart          pending
    running                 Park                                  park             waiting
    running                 Yield                                 yield_slot       pending
    running                 Pause                                 pause            paused
    running                 TryElsewhere                          hand_on          pending
    running                 Succeed, Fail, Cancel                 finish           an end
    running                 raised, attempts left                 hand_over        scheduled
    running                 raised for good, attempts used up     finish           failed
    running                 lost with its worker                  hand_over        pending,
                                                                                   scheduled
    running                 lost too often                        finish           failed
    running                 handed back by a leaving worker       hand_over        pending
    running                 postponed                             postpone         scheduled
    running                 asked to stop (cancel, deadline)      mark             running, shown
                                                                                   as cancelling
    running, marked         anything but the runner's own Cancel  finish           an end
    running, marked         the same, cleanup needed              as if not marked
    running, marked         Succeed, ContinueAsNew, or a Park     clean_up         pending
                            that did not know of the stop
    running                 CleanedUp                             finish           cancelled, failed
    running                 asked to pause                        mark             running
    running, asked to       what would close or hand over the     the same         paused
    pause                   step
    scheduled ... waiting   asked to pause                        hand_over        paused
    scheduled ... paused    asked to stop                         finish           cancelled, failed
    scheduled ... paused    asked to stop, cleanup needed         clean_up         pending, shown
                                                                                   as cancelling
    waiting                 due, or an arrival in its inbox       (a script)       pending
    paused                  resumed                               resume           pending
    paused by somebody      resumed                               go_back          where it stood
    scheduled               asked to run now                      hand_over        pending
    pending                 its queue entry was lost              hand_over        pending
    failed                  somebody asks to retry it             retry            pending
    any                     the claim is another's, or the step   drop             unchanged
                            is settled

Order of precedence within `decide`: a settled step, CleanedUp, the runner's own Cancel, a stop from
outside, then the outcome. Every transition but drop and mark ends the present claim; the engine may
keep the claim for an `advance` that is due now.

A run with compensations or children needs a cleanup (`Run.cleanup`): a stop marks it and hands it
over once more, and it ends when the cleanup is done. The same holds for every end but success that
its own code did not see coming: a result that cannot be stored, a worker lost too often. Exceptions
are `fail` by hand, the way out for a run whose code is gone, and a timeout that is to undo nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stepflow.core.backoff import RetryPolicy, crash_wait_s
from stepflow.core.outcomes import (
    Cancel,
    CleanedUp,
    Continue,
    ContinueAsNew,
    ErrorInfo,
    Fail,
    HandBack,
    Lost,
    Outcome,
    Park,
    Pause,
    Postpone,
    Raised,
    Succeed,
    TryElsewhere,
    Yield,
)
from stepflow.core.run import Cleanup, PauseRequest, Run, RunState, StopKind, StopRequest
from stepflow.core.transition import Transition, TransitionKind
from stepflow.durations import FOREVER_S
from stepflow.errors import stands

#: most moves: a member of an enum takes as long to look up as a call
_ADVANCE = TransitionKind.ADVANCE
#: what a run that was asked to pause stands after; an end, or a pause of its own, stays one
_PAUSABLE = (TransitionKind.ADVANCE, TransitionKind.HAND_OVER, TransitionKind.PARK)


def decide(
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
    Decide what becomes of *run* after its *step* reported *outcome*.

    Pure: the same arguments always give the same transition. *now* is unix seconds by the server's
    clock, *spread* the caller's random number in [0, 1) for the wait before a retry.
    """
    if run.is_finished or run.step != step:
        return Transition.drop(run, "another delivery already settled this step")
    if run.stop is not None:
        stopped = _after_stop(run, outcome, run.stop, policy)
        if stopped is not None:
            return stopped
    move = _read(run, outcome, policy, now, spread, max_crashes)
    if move.kind is _ADVANCE and run.pause is None:
        return move
    is_bad_end = move.kind is TransitionKind.FINISH and move.state is not RunState.SUCCEEDED
    if (
        is_bad_end
        and run.cleanup is Cleanup.NEEDED
        and run.stop is None
        and not isinstance(outcome, CleanedUp)
        and not (run.ends_at_timeout and _is_late(run, now))
    ):
        why = f"{move.why or move.state}; it cleans up first"
        return replace(Transition.clean_up(run, _stop_of(move, now), why), failures=0, crashes=0)
    if run.pause is not None and run.stop is None and move.kind in _PAUSABLE:
        return move.then_pause(run.pause)
    return move


def _stop_of(end: Transition, now: float) -> StopRequest:
    """Make the stop request that leads to the same end as *end*, after the cleanup."""
    if end.error is None:
        return StopRequest(StopKind.CANCEL, end.reason or "", now)
    return StopRequest(StopKind.ERROR, f"{end.error.type}|{end.error.message}", now)


def _read(  # noqa: C901, PLR0912  one match with a case for every outcome
    run: Run, outcome: Outcome, policy: RetryPolicy, now: float, spread: float, max_crashes: int
) -> Transition:
    """Decide what *outcome* means for a run that nothing outside of it ends."""
    step = run.step
    match outcome:
        case Continue(payload=payload):  # the most frequent ones first
            if _is_late(run, now):
                return end_of_stop(run, StopRequest(StopKind.DEADLINE))
            return Transition.advance(step + 1, payload, due_at=_later(outcome.due_at(now), now))
        case Succeed(result=result):
            return Transition.finish(run, RunState.SUCCEEDED, result=result)
        case CleanedUp():
            return _after_cleanup(run, outcome)
        case Cancel(reason=reason):
            return Transition.finish(run, RunState.CANCELLED, reason=reason)
        case ContinueAsNew(payload=payload, count=count):
            if _is_late(run, now):
                return end_of_stop(run, StopRequest(StopKind.DEADLINE))
            return Transition.continue_as_new(step + 1, payload, count=count)
        case Park():
            return Transition.park(run, outcome)
        case Yield(needs_cleanup=wants):
            if _is_late(run, now):
                return end_of_stop(run, StopRequest(StopKind.DEADLINE))
            return Transition.yield_slot(run, needs_cleanup=wants)
        case Pause(reason=reason):
            return Transition.pause(run, reason)
        case Postpone(due_at=due_at, waits_for=waits_for):
            if _is_late(run, now):
                return end_of_stop(run, StopRequest(StopKind.DEADLINE))
            return Transition.postpone(run, due_at, waits_for)
        case TryElsewhere(build=build, tried=tried):
            if _is_late(run, now):
                return end_of_stop(run, StopRequest(StopKind.DEADLINE))
            return Transition.hand_on(run, build, tried)
        case Fail(reason=reason):
            return Transition.finish(
                run, RunState.FAILED, error=ErrorInfo("Fail", reason), reason=reason
            )
        case Raised():
            return _after_error(run, outcome, policy, now, spread)
        case Lost():
            return _after_loss(run, outcome, now, spread, max_crashes)
        case HandBack():
            return Transition.hand_over(
                run,
                failures=run.failures,
                crashes=run.crashes,
                due_at=None,
                why="handed back by a leaving worker",
            )
    msg = f"decide was given {outcome!r}, which is no outcome"
    raise TypeError(msg)


def decide_stop(run: Run, stop: StopRequest, *, overdue: bool = False) -> Transition:
    """
    Decide what becomes of *run* when somebody outside asks it to stop.

    *overdue* means that a marked run did not end within its grace: then it ends without its worker.
    """
    if run.is_finished:
        return Transition.drop(run, f"the run is already {run.state}")
    if stop.kind is StopKind.FAIL and (run.stop is not None or not run.is_claimed):
        return end_of_stop(run, stop)  # somebody has decided to wait no longer
    cleans_up = run.cleans_up(stop.kind)
    if (
        cleans_up
        and run.stop is None
        and run.state in (RunState.SCHEDULED, RunState.WAITING, RunState.PAUSED)
    ):
        return Transition.clean_up(run, stop, f"asked to stop ({stop.kind}); it cleans up first")
    if not cleans_up and (not run.is_claimed or (overdue and run.stop is not None)):
        return end_of_stop(run, run.stop or stop)
    if run.stop is not None:
        return Transition.drop(run, f"the run was already asked to stop ({run.stop.kind})")
    return Transition.mark(run, stop)


def decide_retry(run: Run) -> Transition:
    """Decide what becomes of *run* when somebody asks to retry it: only a failed run can be."""
    if run.state is not RunState.FAILED:
        return Transition.drop(run, f"it {stands(run.state)}; only a failed run can be retried")
    if run.cleanup is Cleanup.STARTED:
        return Transition.drop(
            run, "what it did is undone, or its children were stopped; fork it or submit it anew"
        )
    return Transition.retry(run)


def decide_pause(run: Run, pause: PauseRequest) -> Transition:
    """Decide what becomes of *run* when somebody asks to pause it."""
    if run.is_finished:
        return Transition.drop(run, f"it {stands(run.state)}")
    if run.stop is not None:
        return Transition.drop(run, f"it was asked to stop ({run.stop.kind})")
    if run.state is RunState.PAUSED or run.pause is not None:
        return Transition.drop(run, "")
    return Transition.mark_pause(run, pause) if run.is_claimed else Transition.stand(run, pause)


def decide_resume(run: Run, now: float) -> Transition:
    """
    Decide what becomes of *run* when somebody asks to resume it.

    A request to pause that its worker has not come to is taken back.
    """
    if run.state is RunState.PAUSED:
        stood = None if run.pause is None else run.pause.stood
        return Transition.resume(run) if stood is None else Transition.go_back(run, stood, now)
    if run.pause is not None and run.is_claimed:
        return Transition.mark_pause(run, None)
    return Transition.drop(run, f"it {stands(run.state)}")


def decide_run_now(run: Run) -> Transition:
    """Decide what becomes of *run* when somebody asks that it be due now."""
    if run.state is RunState.PENDING:
        return Transition.drop(run, "")
    if run.state is not RunState.SCHEDULED:
        return Transition.drop(run, f"it {stands(run.state)}")
    return Transition.hand_over(
        run, failures=run.failures, crashes=run.crashes, due_at=None, why="due now, by hand"
    )


def end_of_stop(run: Run, stop: StopRequest, errors: Sequence[ErrorInfo] = ()) -> Transition:
    """
    Return the end that a stop leads to.

    `cancelled` after a cancel, `failed` after a deadline, an error or a `fail` by hand.
    """
    if stop.kind is StopKind.DEADLINE:
        error = ErrorInfo("DeadlineExceeded", "deadline: the run's timeout passed before it ended")
        return Transition.finish(
            run, RunState.FAILED, error=error, reason="deadline", why="deadline", errors=errors
        )
    if stop.kind is StopKind.ERROR:
        kind, _, message = stop.reason.partition("|")
        error = ErrorInfo(kind, message)
        return Transition.finish(
            run, RunState.FAILED, error=error, reason=message, why="failed, undone", errors=errors
        )
    if stop.kind is StopKind.FAIL:
        error = ErrorInfo("FailedByHand", stop.reason)
        return Transition.finish(
            run, RunState.FAILED, error=error, reason=stop.reason, why="by hand", errors=errors
        )
    return Transition.finish(
        run, RunState.CANCELLED, reason=stop.reason, why="cancelled from outside", errors=errors
    )


def _after_stop(
    run: Run, outcome: Outcome, stop: StopRequest, policy: RetryPolicy
) -> Transition | None:
    """
    Decide what a stop makes of *outcome*.

    None where the run goes on as if it had not been asked to stop.
    """
    if isinstance(outcome, CleanedUp | Cancel):
        return None
    needs_cleanup = run.cleanup or (isinstance(outcome, Park | Yield) and outcome.needs_cleanup)
    if not needs_cleanup or run.is_timed_out_for_good or isinstance(outcome, Fail):
        return end_of_stop(run, stop)
    if isinstance(outcome, Raised):  # an attempt at the cleanup is retried like any other
        is_final = not outcome.retryable or run.failures + 1 >= policy.max_attempts
        return end_of_stop(run, stop, (outcome.error,)) if is_final else None
    if isinstance(outcome, Succeed | ContinueAsNew) or (
        isinstance(outcome, Park) and not outcome.knows_stop
    ):
        return Transition.clean_up(run, None, "asked to stop before it knew; it cleans up first")
    return None


def _after_cleanup(run: Run, done: CleanedUp) -> Transition:
    if done.cancelled is not None:
        return Transition.finish(run, RunState.CANCELLED, reason=done.cancelled, errors=done.errors)
    if done.error is not None:
        why = (
            "failed, cleaned up"
            if not done.errors
            else f"failed; {len(done.errors)} compensations failed, too"
        )
        return Transition.finish(
            run,
            RunState.FAILED,
            error=done.error,
            reason=done.error.message,
            why=why,
            errors=done.errors,
        )
    # a worker may learn of a stop before its copy of the record has it: the script refuses this
    # end, and the worker reads the record again
    return end_of_stop(run, run.stop or StopRequest(StopKind.CANCEL), done.errors)


def _is_late(run: Run, now: float) -> bool:
    """Whether the run's time is up and it cleans up nothing before it ends."""
    return 0 < run.deadline_at <= now and not run.cleans_up(StopKind.DEADLINE)


def _after_error(
    run: Run, raised: Raised, policy: RetryPolicy, now: float, spread: float
) -> Transition:
    failures = run.failures + 1
    if raised.retryable and _is_late(run, now):
        return end_of_stop(run, StopRequest(StopKind.DEADLINE))
    if raised.retryable and raised.rest is not None and not raised.rest.is_attempt:
        return Transition.rest(run, raised.rest, now)
    if not raised.retryable or failures >= policy.max_attempts:
        why = (
            "permanent"
            if not raised.retryable
            else f"attempt {failures} of {policy.max_attempts} was the last"
        )
        return Transition.finish(
            run, RunState.FAILED, error=raised.error, reason=raised.error.message, why=why
        )
    wait_s = min(FOREVER_S, max(policy.wait_s(failures, spread), raised.retry_after_s or 0.0))
    due_at = _later(now + wait_s, now)
    why = f"attempt {failures} of {policy.max_attempts} failed; next in {wait_s:.3g} s"
    return Transition.hand_over(run, failures=failures, crashes=run.crashes, due_at=due_at, why=why)


def _after_loss(run: Run, lost: Lost, now: float, spread: float, max_crashes: int) -> Transition:
    if _is_late(run, now):
        return end_of_stop(run, StopRequest(StopKind.DEADLINE))
    crashes = run.crashes + 1
    if crashes > max_crashes and run.stop is not None:
        return end_of_stop(run, run.stop)
    if crashes > max_crashes:
        text = (
            f"step {run.step} was lost with its worker {crashes} times, max_crashes is "
            f"{max_crashes}; it may kill them"
        )
        return Transition.finish(
            run,
            RunState.FAILED,
            error=ErrorInfo("WorkerLost", text),
            reason=text,
            why="poison step",
        )
    wait_s = crash_wait_s(crashes, spread)
    due_at = now + wait_s if wait_s else None
    return Transition.hand_over(
        run, failures=run.failures, crashes=crashes, due_at=due_at, why=lost.why
    )


def _later(due_at: float | None, now: float) -> float | None:
    """Return None for what is due already: only a future time needs the due set."""
    return due_at if due_at is not None and due_at > now else None
