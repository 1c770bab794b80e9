"""explain: why a run stands where it stands, from facts alone."""

from __future__ import annotations

from stepflow.core.run import Run, RunState
from stepflow.engine.why.around.breakers import BREAKER, SHARED, held, waiting_for_value
from stepflow.engine.why.defects import defect
from stepflow.engine.why.facts import Facts
from stepflow.engine.why.held import in_line
from stepflow.engine.why.make import failing, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.queued import queued
from stepflow.engine.why.running import running, stopping
from stepflow.engine.why.waiting import turn, waiting
from stepflow.engine.why.words import count, listed, moment
from stepflow.shell import to_type
from stepflow.store.hooks import ARCHIVER, DEAD, DELIVERED

#: seconds after which what is due is late
_LATE_S = 1.0


def explain(facts: Facts, *, with_defects: bool = True) -> Why:
    """
    Explain why a run stands where it stands.

    Pure: the same facts always give the same answer. A defect, which no worker mends at once, is
    looked for among facts that did not change while they were read; look twice before you tell
    anybody of one, or leave it out with *with_defects* False.
    """
    run = facts.run
    if run is None:
        return _gone(facts)
    found = defect(facts) if with_defects and facts.is_still else None
    if found is not None:
        return found
    if run.is_finished:
        return _ended(facts, run)
    child = None
    if facts.child is not None:
        child = explain(facts.child, with_defects=with_defects)
    if run.state is RunState.PAUSED:
        return _paused(facts, run)
    if run.is_claimed:
        return running(facts, run) if run.stop is None else stopping(facts, run, None)
    inner = _unclaimed(facts, run, child)
    return inner if run.stop is None else stopping(facts, run, inner)


def _unclaimed(facts: Facts, run: Run, child: Why | None) -> Why:
    match run.state:
        case RunState.SCHEDULED:
            return _scheduled(facts, run)
        case RunState.WAITING:
            if facts.turn is not None:
                return turn(facts, facts.turn)
            return waiting(facts, run, child)
    return queued(facts, run) if facts.line is None else in_line(facts, run, facts.line)


def _gone(facts: Facts) -> Why:
    indexes = facts.indexes
    if not indexes.ended_as and not indexes.is_live:
        return make(facts, "gone.never", "no run has this id, or it was deleted")
    return make(
        facts, "gone.expired", f"its record has expired; it had {_end(indexes.ended_as)}",
        moved_by="the next round of a worker", evidence={
            "index": indexes.ended_as or "live"
        },
    )  # fmt: skip


def _end(state: str) -> str:
    return {"": "not ended", "cancelled": "been cancelled"}.get(state, state)


def _ended(facts: Facts, run: Run) -> Why:
    now = facts.world.now
    kept = f"; kept until {moment(facts.expires_at, now)}" if facts.expires_at else ""
    evidence = {"ended": run.ended_at, "error": facts.error or None}
    if facts.awaited.children:
        text = f"it has ended; {count(facts.awaited.children, 'child is', 'children are')}"
        return make(
            facts, "ended.children", f"{text} still being stopped", since=run.ended_at,
            moved_by="the delivery that stops them", evidence=evidence,
        )  # fmt: skip
    undelivered = [hook for hook in facts.hooks if hook.state not in {DELIVERED, DEAD}]
    if undelivered:
        hook = undelivered[0]
        tried = f"tried {count(hook.tries, 'time')} so far" if hook.tries else "not tried yet"
        due = f", again at {moment(hook.due_at, now)}" if hook.due_at > now else ""
        problem = f" ({hook.problem})" if hook.problem else ""
        is_archived = hook.runner == ARCHIVER
        what = "its end is to be archived" if is_archived else "a hook of it is to be delivered"
        return make(
            facts, "ended.telling",
            f"it has {_end(run.state)}; {what}: {tried}{problem}{due}",
            since=run.ended_at, until=hook.due_at,
            moved_by="a worker that reaches the archive" if is_archived
            else "a worker that delivers it",
            commands=["stepflow archive health" if is_archived
                      else to_type("hooks redeliver", hook.id)],
            evidence={**evidence, "hooks": [one.id for one in undelivered]},
        )  # fmt: skip
    if run.is_to_archive:
        return make(
            facts, "ended.telling", f"it has {_end(run.state)}; its end is to be archived",
            since=run.ended_at, moved_by="a process that archives",
            commands=["stepflow archive health", "stepflow archive work"], evidence=evidence,
        )  # fmt: skip
    dead = [hook for hook in facts.hooks if hook.state == DEAD]
    if dead:
        return make(
            facts, "ended.untold",
            f"it has {_end(run.state)}; a hook of it was given up: {dead[0].problem}",
            since=run.ended_at, moved_by="somebody who sends it again",
            commands=[to_type("hooks redeliver", dead[0].id)],
            evidence={**evidence, "hooks": [one.id for one in dead]},
        )  # fmt: skip
    return _plainly_ended(facts, run, kept)


def _plainly_ended(facts: Facts, run: Run, kept: str) -> Why:
    at = moment(run.ended_at, facts.world.now)
    evidence = {"ended": run.ended_at, "error": facts.error or None, "by": run.stopped_by or None}
    if run.state is RunState.FAILED:
        tried = f", after {count(run.failures, 'attempt')}" if run.failures > 1 else ""
        what = facts.error or facts.reason or "it says no error"
        return make(
            facts, "ended.failed", f"it failed at step {run.step} at {at}{tried} ({what}){kept}",
            since=run.ended_at, until=facts.expires_at, moved_by="somebody who retries it",
            commands=[to_type("retry", run.id)], evidence=evidence,
        )  # fmt: skip
    by = f" by {run.stopped_by}" if run.stopped_by else ""
    reason = f" ({facts.reason})" if facts.reason else ""
    verb = f"was cancelled{by}" if run.state is RunState.CANCELLED else "succeeded"
    return make(
        facts, f"ended.{run.state}", f"it {verb} at {at}{reason}{kept}", since=run.ended_at,
        until=facts.expires_at, evidence=evidence,
    )  # fmt: skip


def _paused(facts: Facts, run: Run) -> Why:
    if run.pause is not None:
        at, why = moment(run.pause.at, facts.world.now), run.pause.reason
        reason = f": {why}" if why else ""
        stood = "" if run.pause.stood is None else str(run.pause.stood.state)
        return make(
            facts, "paused.person",
            f"it was paused by {run.pause.by or 'somebody'} at {at}{reason}", since=run.pause.at,
            moved_by="somebody who resumes it", commands=[to_type("resume", run.id)],
            evidence={"by": run.pause.by, "reason": why, "stood": stood},
        )  # fmt: skip
    reason = facts.reason or run.unreadable or "it does not say why"
    return make(
        facts, "paused.code", f"it is paused: {reason}", since=run.updated_at,
        moved_by="somebody who deploys code that fits, or repairs the record, and resumes it",
        commands=[to_type("resume", run.id), failing(facts)], evidence={"reason": reason},
    )  # fmt: skip


def _scheduled(facts: Facts, run: Run) -> Why:
    world, due_at = facts.world, facts.indexes.due_at or run.due_at
    now, at = world.now, moment(due_at, facts.world.now)
    evidence = {"due": due_at, "failures": run.failures, "crashes": run.crashes}
    timer, now_command = "a worker's timer", to_type("run-now", run.id)
    if due_at <= now - _LATE_S and world.refusal:
        return make(
            facts, "scheduled.late",
            f"it was due at {at}; Redis refuses writes: {world.refusal}", since=due_at,
            moved_by="somebody who makes Redis take writes", commands=["stepflow doctor"],
            evidence={**evidence, "refusal": world.refusal},
        )  # fmt: skip
    if due_at <= now - _LATE_S and not world.live:
        blocked = listed([worker.name for worker in world.blocked()])
        others = listed([worker.name for worker in world.workers])
        known = f" (dead: {others})" if others else ""
        known = f" (code blocks the event loop of {blocked})" if blocked else known
        return make(
            facts, "scheduled.late", f"it was due at {at}, and no live worker moves it{known}",
            since=due_at, moved_by="any worker that starts",
            commands=[f"stepflow worker APP --queue {run.queue}"], evidence=evidence,
        )  # fmt: skip
    if run.waits_for.startswith(BREAKER):
        return held(facts, run, run.waits_for, due_at)
    if run.waits_for.startswith(SHARED):
        return waiting_for_value(facts, run, run.waits_for, due_at)
    if run.failures:
        of = f" of {facts.attempts}" if facts.attempts else ""
        last = f"; the last one failed: {facts.error}" if facts.error else ""
        return make(
            facts, "scheduled.retry",
            f"attempt {run.failures + 1}{of} of step {run.step} is due at {at}{last}",
            since=run.updated_at, until=due_at, moved_by=timer, commands=[now_command],
            evidence={**evidence, "error": facts.error or None},
        )  # fmt: skip
    if run.crashes:
        return make(
            facts, "scheduled.crash", f"its workers died {count(run.crashes, 'time')} at step "
            f"{run.step}; the next attempt is due at {at}", since=run.updated_at, until=due_at,
            moved_by=timer, commands=[now_command], evidence=evidence,
        )  # fmt: skip
    what = "goes on" if run.started_at else "starts"
    return make(
        facts, "scheduled.delay", f"it {what} at {at}", since=run.updated_at or run.created_at,
        until=due_at, moved_by=timer, commands=[now_command], evidence=evidence,
    )  # fmt: skip
