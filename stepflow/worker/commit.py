"""
commit: an Outcome becomes a Transition, a Transition one script.

What happens when a step returns Continue: `decide` says advance; when it is due now and nobody is owed the slot, the
same script that closes step n keeps the claim for step n+1 (`keep_step`), else the run goes back to its queue or into
the due set (`hand_over`). Succeed, Fail and Cancel end it (`finish_run`). A commit that comes late changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from stepflow.core import probes
from stepflow.core.outcomes import (
    Cancel,
    Continue,
    ErrorInfo,
    Fail,
    HandBack,
    LastWord,
    Outcome,
    Park,
    Pause,
    Raised,
    Restart,
    Succeed,
    Yield,
)
from stepflow.core.run import Run
from stepflow.core.runner import DELETED
from stepflow.core.transition import Kind, Transition
from stepflow.core.transitions import decide
from stepflow.engine.outbox import end_fields, plan_hooks, plan_kin
from stepflow.engine.user_code.calls import describe
from stepflow.errors import RedisRefused
from stepflow.store.calls import Call, Part
from stepflow.store.runs import (
    DONE,
    NO_WRITES,
    NOT_YET,
    STALE,
    Proof,
    Writes,
    finish_run,
    hand_over,
    keep_step,
    load_run,
    park_run,
    pause_run,
)
from stepflow.store.values.codec import pack, unpack
from stepflow.worker.claimed_run import Hold
from stepflow.worker.state import Shift

log = logging.getLogger("stepflow.run")

#: seconds between tries while Redis refuses to write
_REFUSED_S = 1.0


async def commit(hold: Hold, outcome: Outcome, shift: Shift) -> bool:
    """Settle the present step of *hold* by *outcome*; True when the worker keeps the run and goes on with the next."""
    while not hold.lost:
        run = hold.run
        move = decide(
            run, run.step, outcome, hold.policy, shift.desk.clock.now(),
            spread=shift.desk.die.random(), max_crashes=shift.desk.settings.worker.max_crashes,
        )  # fmt: skip
        if move.kind is Kind.DROP:
            log.warning("run=%s step=%s not committed: %s", run.id, run.step, move.why)
            return False
        keeps = move.kind is Kind.ADVANCE and move.due_at is None and not hold.yields and not shift.must_let_go
        if hold.extended_until or move.restarts:  # the next step must not inherit a lease that this one lengthened
            keeps = False
        try:
            call, payload = _call(hold, outcome, move, shift, keeps=keeps)
        except BaseException as error:  # values are user code as well: what packs them may raise anything
            if isinstance(outcome, Raised):
                raise
            outcome = Raised(describe(error), retryable=False)
            continue
        probes.at("commit.ready")
        answer = await _written(call, run, shift)
        probes.at("commit.done")
        if answer[0] == STALE:
            if not await _look_again(hold, answer, shift):
                return False
            continue
        if answer[0] == NOT_YET:  # something came that the activation has not seen: it looks again, at once
            outcome = Continue(hold.payload)
            continue
        _tell(run, outcome, move, answer)
        shift.on_due(move.due_at)
        if keeps:
            _go_on(hold, payload, answer, shift)
        return keeps
    log.warning("run=%s step=%s not committed: the claim was lost meanwhile", hold.run.id, hold.run.step)
    return False


def _call(hold: Hold, outcome: Outcome, move: Transition, shift: Shift, *, keeps: bool) -> tuple[Call[Any], bytes]:
    """Make the one call that carries out *move*; raises UsageError for a value that cannot be stored."""
    desk, run, now = shift.desk, hold.run, shift.desk.clock.now()
    limit = desk.settings.limits.payload_bytes
    proof = _proof(hold, outcome, move, now)
    step = hold.step
    effects = NO_WRITES
    if step is not None and step._effects is not None and _is_taken_up(outcome, move) and run.stop is None:  # noqa: SLF001
        effects = _writes(step._effects.writes, limit)  # noqa: SLF001
    closes = move.kind is Kind.ADVANCE
    drop_memo = closes and (hold.is_first or (step is not None and step._memo is not None))  # noqa: SLF001
    if move.kind is Kind.PARK:
        return park_run(
            desk.keys, run, proof, due_at=move.due_at, inbox=move.inbox, waits_for=move.why, now=now, rest=move.rest,
            expects=move.expects,
        ), b""  # fmt: skip
    if move.kind is Kind.PAUSE:
        return pause_run(desk.keys, run, proof, reason=move.why, now=now), b""
    if move.kind is Kind.FINISH:
        return _finish(hold, move, proof, effects, now, shift), b""
    payload = pack(move.payload, what=f"the payload of step {move.step}", limit=limit) if closes else None
    if keeps and payload is not None:
        return keep_step(
            desk.keys, run, proof, payload, now=now, effects=effects, drop_memo=drop_memo, look_at=shift.rivals(run)
        ), payload
    return hand_over(
        desk.keys, run, proof, state=move.state, step=move.step, failures=move.failures, crashes=move.crashes,
        due_at=move.due_at, now=now, payload=payload, effects=effects, drop_memo=drop_memo, stop=move.stop,
        rest=move.rest, restarts=move.restarts,
    ), b""  # fmt: skip


def _finish(hold: Hold, move: Transition, proof: Proof, effects: Writes, now: float, shift: Shift) -> Call[Any]:
    desk, run = shift.desk, hold.run
    data = end_fields(move, desk.settings.limits.payload_bytes)
    return finish_run(
        desk.keys, run, proof, state=move.state, now=now, ttl_s=desk.settings.retention.result_s,
        failures=run.failures + 1 if move.error is not None else None, data=data, effects=effects,
        hooks=plan_hooks(run, move, hold.given, shift.app_hooks, desk, now),
        kin=plan_kin(run, move, hold.given, data, desk, now),
    )  # fmt: skip


def _proof(hold: Hold, outcome: Outcome, move: Transition, now: float) -> Proof:
    """Make the step record: how the step was closed, or what became of this attempt of it."""
    run = hold.run
    name = str(run.step) if move.kind not in (Kind.RETRY, Kind.PAUSE) else f"{run.step}.{run.token}"
    record = f"{run.token}{_word(outcome)} {run.failures + 1} {hold.started_at:.3f} {now:.3f}"
    return Proof(run.token, name, record)


def _word(outcome: Outcome) -> str:
    match outcome:
        case Continue():
            return "continue"
        case Succeed():
            return "succeed"
        case Cancel():
            return "cancel"
        case Park():
            return "park"
        case Restart():
            return "restart"
        case Pause():
            return "pause"
        case HandBack():
            return "back"
        case Yield():
            return "yield"
        case Raised():
            return "raised"
        case LastWord():
            return "last"
    return "fail"


def _is_taken_up(outcome: Outcome, move: Transition) -> bool:
    """Say whether the run moves as the runner said: what a step wrote besides counts only then, not when it raised."""
    return move.kind is Kind.ADVANCE or (move.kind is Kind.FINISH and isinstance(outcome, Succeed | Fail | Cancel))


def _writes(writes: dict[str, Any], limit: int) -> Writes:
    """Turn a step's effects into what the script takes."""
    deleted = [key for key, value in writes.items() if value is DELETED]
    written: list[Part] = []
    for key, value in writes.items():
        if value is not DELETED:
            written += (key, pack(value, what=f"effect {key!r}", limit=limit))
    return Writes(deleted, written)


async def _written(call: Call[Any], run: Run, shift: Shift) -> Any:
    """Carry the call out; while Redis refuses to write (full, say) the step is kept and tried again."""
    while True:
        try:
            return await shift.link.send(call)
        except RedisRefused as error:
            log.error(
                "run=%s step=%s cannot be committed: %s; trying again in %g s", run.id, run.step, error, _REFUSED_S
            )
            await asyncio.sleep(_REFUSED_S)


async def _look_again(hold: Hold, answer: Any, shift: Shift) -> bool:
    """Take the record of a run that is not as this worker saw it, or give up what is another's."""
    run = hold.run
    now = await shift.link.call(load_run(shift.desk.keys, run.id))
    if now is not None and now.token == run.token and now.step == run.step and now.rev > run.rev:
        now.crashes = run.crashes
        hold.run = now
        return True
    if now is not None and now.rev < run.rev:
        log.error(
            "run=%s step=%s dropped: Redis holds rev %s, this worker had seen %s; the server lost its last writes",
            run.id, run.step, now.rev, run.rev,
        )  # fmt: skip
    else:
        log.warning(
            "run=%s step=%s late commit refused: another worker holds or settled it (%s)", run.id, run.step, answer[1:]
        )
    hold.lose()
    return False


def _go_on(hold: Hold, payload: bytes, answer: Any, shift: Shift) -> None:
    """Take the next step of a kept run in hand, and note whether others are owed the slot."""
    run = hold.run
    run.rev += 1
    run.step += 1
    run.failures = run.crashes = run.handoff = 0
    hold.payload = unpack(payload)
    hold.is_first = False
    waiting = answer[1:]
    if any(waiting) and (any(waiting[:-1]) or shift.loop.time() >= hold.slice_until):
        hold.yields = True


def _tell(run: Run, outcome: Outcome, move: Transition, answer: Any) -> None:
    """One line a fact: what happened, to what, and what happens next."""
    if answer[0] != DONE:
        log.info("run=%s step=%s had been committed; its reply was lost", run.id, run.step)
    if move.kind is Kind.ADVANCE or isinstance(outcome, Yield):
        log.debug("run=%s step=%s %s", run.id, run.step, move.why or "done")
    elif move.kind is Kind.RETRY:
        kind = outcome.error.type if isinstance(outcome, Raised) else type(outcome).__name__
        log.warning("run=%s step=%s not done (%s); %s", run.id, run.step, kind, move.why)
    elif isinstance(move.error, ErrorInfo):
        log.error("run=%s step=%s failed for good: %s: %s", run.id, run.step, move.error.type, move.error.message)
    else:
        log.info("run=%s %s after step %s", run.id, move.state, run.step)
