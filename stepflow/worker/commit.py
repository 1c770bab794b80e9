"""
commit: an Outcome becomes a Transition, a Transition one script.

What happens when a step returns Continue: `decide` says advance; when it is due now and nobody is
owed the slot, the same script that closes step n keeps the claim for step n+1 (`keep_step`), else
the run goes back to its queue or into the due set (`hand_over`). Succeed, Fail and Cancel end it
(`finish_run`). A commit that comes late changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from stepflow.core import probes
from stepflow.core.briefs import sealed_brief
from stepflow.core.outcomes import (
    Cancel,
    Continue,
    ErrorInfo,
    Fail,
    Outcome,
    Pause,
    Postpone,
    Raised,
    Succeed,
    TryElsewhere,
    Yield,
)
from stepflow.core.run import Run
from stepflow.core.runner import DELETED
from stepflow.core.step_record import StepRecord, attempt_name, closed_name, write_good
from stepflow.core.transition import Transition, TransitionKind
from stepflow.core.transitions import decide
from stepflow.engine.hooks.ended import note_for_archive
from stepflow.engine.hooks.hold import kept_for
from stepflow.engine.insist import insist
from stepflow.engine.outbox import end_fields, plan_family_update, plan_hooks, plan_pause_hooks
from stepflow.engine.user_code.calls import ends_task, error_info
from stepflow.errors import RedisRefused, StepFailed
from stepflow.store.calls import Call, Part
from stepflow.store.claims import hand_on
from stepflow.store.limits.limited import lines_of
from stepflow.store.runs import (
    DONE,
    NO_WRITES,
    NOT_YET,
    STALE,
    Fence,
    Writes,
    finish_run,
    hand_over,
    keep_step,
    load_run,
    park_run,
    pause_run,
)
from stepflow.store.values import offloaded
from stepflow.store.values.codec import pack, unpack
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.run")

#: what each step is asked for: a member of an enum takes as long to look up as a call
_ADVANCE, _DROP, _FINISH = TransitionKind.ADVANCE, TransitionKind.DROP, TransitionKind.FINISH
#: transitions that leave the step open
_LEAVE_OPEN = (TransitionKind.HAND_OVER, TransitionKind.HAND_ON, TransitionKind.PAUSE)


async def commit(claimed: ClaimedRun, outcome: Outcome, worker_state: WorkerState) -> bool:
    """Settle the present step by *outcome*; True if the worker goes on with the run's next one."""
    while not claimed.is_lost:
        run, now = claimed.run, worker_state.env.clock.now()
        move = decide(
            run, run.step, outcome, claimed.policy, now, spread=worker_state.env.rng.random(),
            max_crashes=worker_state.env.settings.worker.max_crashes,
        )  # fmt: skip
        if move.kind is _DROP:
            log.warning("run=%s step=%s not committed: %s", run.id, run.step, move.why)
            return False
        keeps = _may_keep(claimed, move, worker_state)
        try:
            stored = (
                move if offloaded.in_use is None else await _offload(claimed, move, worker_state)
            )
            if stored is None:
                continue
            call, payload = _call(claimed, outcome, stored, worker_state, now, keeps=keeps)
        except BaseException as error:  # values are user code too: packing them may raise anything
            if isinstance(outcome, Raised) or ends_task(error, is_over=worker_state.is_over):
                raise
            outcome = Raised(error_info(error), retryable=False)
            continue
        probes.at("commit.ready")
        try:
            answer = await (claimed.connection or worker_state.connection).send(call)
        except RedisRefused:
            answer = await _insist(call, claimed, worker_state)
        probes.at("commit.done")
        if answer[0] == STALE:
            if not await _reload(claimed, answer, worker_state):
                return False
            continue
        if answer[0] == NOT_YET:  # something came that the activation has not seen: it looks again
            outcome = Continue(claimed.attempt.payload)
            continue
        _log_commit(run, outcome, move, answer)
        _count(claimed, outcome, move, worker_state, now)
        if worker_state.is_watched:
            _tell(claimed, outcome, move, worker_state, now)
        worker_state.on_due(move.due_at)
        if keeps:
            _begin_next_step(claimed, payload, answer, worker_state)
        return keeps
    run = claimed.run
    log.warning("run=%s step=%s not committed: the claim was lost meanwhile", run.id, run.step)
    return False


async def _offload(
    claimed: ClaimedRun, move: Transition, worker_state: WorkerState
) -> Transition | None:
    from stepflow.worker.runtime.offloading import offloaded_move  # noqa: PLC0415  few have any

    return await offloaded_move(claimed, move, worker_state)


def _count(
    claimed: ClaimedRun, outcome: Outcome, move: Transition, worker_state: WorkerState, now: float
) -> None:
    """Count what was committed."""
    counters, word = worker_state.counters, outcome.word
    if move.kind is _FINISH:
        counters.note_end(claimed.run.runner, move)
        word = "fail" if isinstance(outcome, Raised) else word
    if claimed.runner.version is None:  # those of a workflow are counted where they end
        took_s = now - (claimed.attempt.started_at or now)
        counters.attempts_of(claimed.run.runner).note_attempt(word, took_s)


def _tell(
    claimed: ClaimedRun, outcome: Outcome, move: Transition, worker_state: WorkerState, now: float
) -> None:
    """Tell the app's listeners and observers what was committed."""
    run, attempt = claimed.run, claimed.attempt
    if worker_state.listeners is not None:
        worker_state.listeners.note_commit(run, _record(claimed, outcome, move, now), move)
    if worker_state.observers is not None:
        worker_state.observers.committed(
            run, attempt.payload, outcome, move, now, attempt.started_at,
            is_workflow=claimed.runner.version is not None,
        )  # fmt: skip


def _may_keep(claimed: ClaimedRun, move: Transition, worker_state: WorkerState) -> bool:
    """Say whether the worker goes on with the next step under the same claim."""
    return (
        move.kind is _ADVANCE
        and move.due_at is None
        and not claimed.must_yield
        and not worker_state.must_let_go
        # the next step must not inherit a lease that this one lengthened
        and not claimed.attempt.extended_until
        and not move.restarts
        and move.paused is None
    )


def _call(
    claimed: ClaimedRun,
    outcome: Outcome,
    move: Transition,
    worker_state: WorkerState,
    now: float,
    *,
    keeps: bool,
) -> tuple[Call[Any], bytes]:
    """
    Make the one call that carries out *move*, and the packed payload of a step that is kept.

    Raises UsageError for a value that cannot be stored.
    """
    env, run = worker_state.env, claimed.run
    limit = env.settings.limits.payload_bytes
    fence = _fence(claimed, outcome, move, now)
    step = claimed.attempt.step
    effects = NO_WRITES
    if step is not None and step.pending_effects and _follows(move, outcome) and run.stop is None:
        effects = _writes(step.pending_effects, limit)
    closes = move.kind is _ADVANCE
    if not closes:
        call = _call_that_leaves(claimed, move, worker_state, now, fence, effects)
        if call is not None:
            return call, b""
    drop_memo = closes and (claimed.attempt.is_first or (step is not None and step.used_memo))
    payload = (
        pack(move.payload, what=f"the payload of step {move.step}", limit=limit) if closes else None
    )
    if keeps and payload is not None:
        look_at = worker_state.competing_lists(run)
        if run.limits:
            look_at = [*look_at, *lines_of(env.keys, run)]
        return keep_step(
            env.keys, run, fence, payload, now=now, effects=effects, drop_memo=drop_memo,
            look_at=look_at,
        ), payload  # fmt: skip
    return hand_over(
        env.keys, run, fence, state=move.state, step=move.step, failures=move.failures,
        crashes=move.crashes, due_at=move.due_at, now=now, payload=payload, effects=effects,
        drop_memo=drop_memo, stop=move.stop, cleanup=move.cleanup, restarts=move.restarts,
        pause=move.paused, waits_for=move.waits_for, rests=move.rests,
        last_error=sealed_brief(outcome.error.brief()) if isinstance(outcome, Raised) else None,
    ), b""  # fmt: skip


def _call_that_leaves(
    claimed: ClaimedRun,
    move: Transition,
    worker_state: WorkerState,
    now: float,
    fence: Fence,
    effects: Writes,
) -> Call[Any] | None:
    """Make the call of a *move* by which the run leaves the queues; None if it does not."""
    env, run = worker_state.env, claimed.run
    if move.kind is TransitionKind.PARK:
        return park_run(
            env.keys, run, fence, due_at=move.due_at, inbox=move.inbox, waits_for=move.why, now=now,
            cleanup=move.cleanup, expects=move.expects, commands=move.commands, pause=move.paused,
        )  # fmt: skip
    if move.kind is TransitionKind.PAUSE:
        hooks = plan_pause_hooks(run, move, claimed.options, worker_state.paused_hooks, env, now)
        return pause_run(env.keys, run, fence, reason=move.why, now=now, hooks=hooks)
    if move.kind is _FINISH:
        return _finish(claimed, move, fence, effects, now, worker_state)
    if move.kind is TransitionKind.HAND_ON:
        return hand_on(env.keys, run, fence, build=move.build, tried=move.tried, now=now)
    return None


def _finish(
    claimed: ClaimedRun,
    move: Transition,
    fence: Fence,
    effects: Writes,
    now: float,
    worker_state: WorkerState,
) -> Call[Any]:
    env, run = worker_state.env, claimed.run
    app_hooks = worker_state.app_hooks(run.runner, move.state)
    data = end_fields(move, env.settings.limits.payload_bytes)
    return finish_run(
        env.keys, run, fence, state=move.state, now=now,
        failures=run.failures + 1 if move.error is not None else None, data=data, effects=effects,
        hooks=plan_hooks(run, move, claimed.options, app_hooks, env, now),
        **kept_for(run.runner, move.state, app_hooks, env.settings),
        update=plan_family_update(run, move, claimed.options, data, env, now),
        archived=note_for_archive(run, move, claimed.options, app_hooks, data, now),
    )  # fmt: skip


def _fence(claimed: ClaimedRun, outcome: Outcome, move: Transition, now: float) -> Fence:
    """Say who moves the run, and the step record that it writes."""
    run = claimed.run
    is_good = move.error is None and not isinstance(outcome, Raised)
    if move.kind is _ADVANCE or (move.kind is _FINISH and is_good):
        written = write_good(
            run.token, outcome.word, run.failures + 1, claimed.attempt.started_at, now
        )
        return Fence(run.token, closed_name(run.step), written)
    is_open = move.kind in _LEAVE_OPEN
    name = attempt_name(run.step, run.token) if is_open else closed_name(run.step)
    return Fence(run.token, name, _record(claimed, outcome, move, now).write())


def _record(claimed: ClaimedRun, outcome: Outcome, move: Transition, now: float) -> StepRecord:
    """Make the step record: how the step was closed, or what became of this attempt."""
    run = claimed.run
    error = outcome.error if isinstance(outcome, Raised) else move.error
    return StepRecord(
        run.token,
        outcome.word,
        run.failures + 1,
        claimed.attempt.started_at,
        now,
        (move.kind in _LEAVE_OPEN and move.due_at) or 0.0,
        "" if error is None else error.brief(),
    )


def _follows(move: Transition, outcome: Outcome) -> bool:
    """
    Say whether the run moves as the runner said.

    Only then do a step's effects count, not when it raised.
    """
    return move.kind is TransitionKind.ADVANCE or (
        move.kind is TransitionKind.FINISH and isinstance(outcome, Succeed | Fail | Cancel)
    )


def _writes(effects: Mapping[str, Any], limit: int) -> Writes:
    """Pack a step's effects for the script."""
    deleted = [key for key, value in effects.items() if value is DELETED]
    written: list[Part] = []
    for key, value in effects.items():
        if value is not DELETED:
            written += (key, pack(value, what=f"effect {key!r}", limit=limit))
    return Writes(deleted, written)


async def _insist(call: Call[Any], claimed: ClaimedRun, worker_state: WorkerState) -> Any:
    """Try a commit again that Redis refused, for whatever reason; the step is kept meanwhile."""
    await claimed.attempt.settled()
    what = f"run={claimed.run.id} step={claimed.run.step} cannot be committed"
    caller = claimed.connection or worker_state.connection
    return await insist(lambda: caller.send(call), what, whatever_refused=True)


async def _reload(claimed: ClaimedRun, answer: Any, worker_state: WorkerState) -> bool:
    """Read a run that changed under this worker anew; False when the claim is another's."""
    run = claimed.run
    now = await worker_state.connection.call(load_run(worker_state.env.keys, run.id))
    if now is not None and now.token == run.token and now.step == run.step and now.rev > run.rev:
        now.crashes = run.crashes
        claimed.run = now
        return True
    if now is not None and now.rev < run.rev:
        log.error(
            "run=%s step=%s dropped: Redis holds rev %s, this worker had seen %s; "
            "the server lost its last writes", run.id, run.step, now.rev, run.rev,
        )  # fmt: skip
    else:
        log.warning(
            "run=%s step=%s late commit refused: another worker holds or settled it (%s)", run.id,
            run.step, answer[1:],
        )  # fmt: skip
    claimed.lose()
    return False


def _begin_next_step(
    claimed: ClaimedRun, payload: bytes, answer: Any, worker_state: WorkerState
) -> None:
    """Go on with the next step of a kept run, and note whether others are owed the slot."""
    claimed.begin_next_step(unpack(payload))
    waiting = answer[1:]
    if any(waiting):
        # those of its own priority, and those in line for its limits, wait for its slice to be over
        sooner = len(worker_state.competing_lists(claimed.run)) - 1
        if any(waiting[:sooner]) or worker_state.loop.time() >= claimed.slice_until:
            claimed.must_yield = True


def _log_commit(run: Run, outcome: Outcome, move: Transition, answer: Any) -> None:
    """One line a fact: what happened, to what, and what happens next."""
    if answer[0] != DONE:
        log.info("run=%s step=%s had been committed; its reply was lost", run.id, run.step)
    if move.paused is not None:
        log.info("run=%s step=%s %s: %s", run.id, run.step, move.why, move.paused.reason)
    elif move.kind is _ADVANCE or isinstance(outcome, Yield | TryElsewhere):
        log.debug("run=%s step=%s %s", run.id, run.step, move.why or "done")
    elif isinstance(outcome, Postpone) and move.kind is TransitionKind.HAND_OVER:
        log.info("run=%s step=%s %s", run.id, run.step, move.why)
    elif move.kind is TransitionKind.HAND_OVER:
        log.warning("run=%s step=%s %s", run.id, run.step, _why_again(outcome, move))
    elif isinstance(outcome, Pause) and move.kind is TransitionKind.PAUSE:
        log.warning(
            "run=%s of runner %r is paused at step %s: %s; `stepflow resume %s` takes it up again"
            "%s",
            run.id,
            run.runner,
            run.step,
            outcome.reason,
            run.id,
            f"\n{outcome.diff}" if outcome.diff else "",
        )
    elif isinstance(move.error, ErrorInfo):
        error = move.error
        # that of a step is in the log already
        trace = "" if error.type == StepFailed.__name__ else error.traceback.rstrip()
        log.error(
            "run=%s step=%s failed for good: %s%s", run.id, run.step, error.summary,
            f"\n{trace}" if trace else "",
        )  # fmt: skip
    else:
        log.info("run=%s %s after step %s", run.id, move.state, run.step)


def _why_again(outcome: Outcome, move: Transition) -> str:
    """Say what an attempt came to, and when the next one is."""
    if not isinstance(outcome, Raised):
        return f"not done ({type(outcome).__name__}); {move.why}"
    failed, sign, rest = move.why.partition(" failed; ")
    if not sign:  # it is handed over to clean up
        return f"failed: {outcome.error.summary}; {move.why}"
    return f"{failed} failed: {outcome.error.summary}; {rest}"
