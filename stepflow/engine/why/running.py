"""Runs that a worker has claimed, and runs that were asked to stop."""

from __future__ import annotations

from typing import Any

from stepflow.core.ids import worker_of
from stepflow.core.run import Run, StopKind
from stepflow.engine.why.facts import Facts, Worker
from stepflow.engine.why.make import asking, cancelling, failing, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.words import count, lasting, moment

#: seconds after which a step counts as long
_LONG_S = 3600.0


def running(facts: Facts, run: Run) -> Why:
    """Explain a claimed run."""
    world, name = facts.world, worker_of(run.token)
    now, lease_at = world.now, facts.indexes.lease_at
    worker = world.worker(name)
    since = max(run.updated_at, facts.claimed_at, run.started_at)
    evidence: dict[str, Any] = {
        "worker": name, "token": run.token, "lease": lease_at, "attempt": run.failures + 1,
    }  # fmt: skip
    if world.refusal:
        is_heard = worker is not None and (worker.is_live or worker.is_blocked)
        return make(
            facts, "running.unwritable",
            f"Redis refuses writes: {world.refusal}; worker {name} "
            + ("keeps its outcome and tries again every second" if is_heard
               else "cannot say that it lives; if it does, it keeps its outcome"),
            since=since, moved_by="somebody who makes Redis take writes",
            commands=["stepflow doctor"], evidence={**evidence, "refusal": world.refusal},
        )  # fmt: skip
    if lease_at is not None and lease_at <= now:
        return _lapsed(facts, name, lease_at, evidence)
    if worker is not None and not worker.is_ours:
        return make(
            facts, "running.foreign", f"stock RQ worker {name} has it, one step at a time",
            since=since, moved_by="that worker", commands=[cancelling(facts)], evidence=evidence,
        )  # fmt: skip
    if worker is None or not (worker.is_live or worker.is_blocked):
        left = lasting(max(0.0, (lease_at or now) - now))
        seen = worker.seen_at if worker is not None else 0.0
        heard = f"was last heard of {lasting(now - seen)} ago" if seen else "is not known any more"
        return make(
            facts, "running.silent",
            f"its worker {name} {heard}; another one takes it over in {left} at the latest",
            since=seen or since, until=lease_at or 0.0, moved_by="the end of its lease",
            evidence={**evidence, "seen": seen or None},
        )  # fmt: skip
    lasted = now - since
    what = "has been at it" if run.has_journal else f"has been at step {run.step}"
    again = f", attempt {run.failures + 1}," if run.failures else ""
    asked = "" if run.pause is None else f"; {run.pause.by or 'somebody'} has it pause after that"
    if worker.is_blocked:
        asked = f"; code blocks its event loop{asked}"
    told = f"worker {name}{_where(worker)} {what}{again} for {lasting(lasted)}{asked}"
    if lasted > _LONG_S:
        return make(
            facts, "running.long", told, since=since, moved_by="that worker",
            commands=[asking(facts), cancelling(facts)], evidence=evidence,
        )  # fmt: skip
    return make(
        facts, "running.step", told, since=since, moved_by="that worker",
        commands=[asking(facts)] if worker.is_blocked else [], evidence=evidence,
    )  # fmt: skip


def _where(worker: Worker) -> str:
    return f" (host {worker.host}, pid {worker.pid})" if worker.host else ""


def _lapsed(facts: Facts, name: str, lease_at: float, evidence: dict[str, Any]) -> Why:
    if facts.world.live:
        return make(
            facts, "running.lapsed",
            f"its worker {name} is gone; another one takes it over within seconds", since=lease_at,
            moved_by="the next round of a worker", evidence=evidence,
        )  # fmt: skip
    queue = facts.run.queue if facts.run is not None else ""
    return make(
        facts, "running.nobody", f"its worker {name} is gone, and none is left to take it over",
        since=lease_at, moved_by="any worker that starts",
        commands=[f"stepflow worker APP --queue {queue}"], evidence=evidence,
    )  # fmt: skip


def stopping(facts: Facts, run: Run, inner: Why | None) -> Why:
    """Explain a run that was asked to stop; *inner* is why it stands where it is not claimed."""
    now, stop = facts.world.now, run.stop
    at = stop.at if stop is not None else 0.0
    asked = _asked(run, now)
    evidence: dict[str, Any] = {
        "stop": None if stop is None else str(stop.kind), "asked": at, "by": run.stopped_by or None,
        "cleanup": int(run.cleanup), "inside": None if inner is None else inner.code,
    }  # fmt: skip
    cleans_up = bool(run.cleanup) if stop is None else run.cleans_up(stop.kind)
    if run.is_claimed and not cleans_up:
        name, until = worker_of(run.token), facts.indexes.deadline_at or 0.0
        last = f"; without it, it ends at {moment(until, now)}" if until else ""
        return make(
            facts, "stopping.told", f"{asked}; its worker {name} was told to stop it{last}",
            since=at, until=until, moved_by="that worker, or the next round after its time is up",
            commands=[failing(facts)], evidence={**evidence, "worker": name},
        )  # fmt: skip
    children = [one for one in facts.awaited.commands if one.kind == "children"]
    if children and facts.awaited.children:
        left = count(facts.awaited.children, "child", "children")
        child = None if inner is None else inner.child
        one = f"; child {child.run_id} is {child.word}: {child.sentence}" if child else ""
        return make(
            facts, "stopping.children", f"{asked}; it waits for {left} to end first{one}", since=at,
            moved_by="the end of its children",
            commands=[*(child.commands if child is not None else ()), failing(facts)],
            evidence={**evidence, "children": facts.awaited.children}, child=child,
        )  # fmt: skip
    how = "a worker is at that" if inner is None else inner.sentence
    return make(
        facts, "stopping.cleanup", f"{asked}; it undoes what it has done before it ends: {how}",
        since=at, moved_by="a worker" if inner is None else inner.moved_by,
        commands=[*(inner.commands if inner is not None else ()), failing(facts)],
        evidence={**(inner.evidence if inner is not None else {}), **evidence},
    )  # fmt: skip


def _asked(run: Run, now: float) -> str:
    stop = run.stop
    if stop is None:
        return "it ends"
    ago = f"{lasting(now - stop.at)} ago" if stop.at else "some time ago"
    if stop.kind is StopKind.ERROR:
        return f"it failed {ago} ({stop.reason.replace('|', ': ', 1)})"
    if stop.kind is StopKind.DEADLINE:
        return f"its time limit passed {ago}"
    by = f" by {run.stopped_by}" if run.stopped_by else ""
    reason = f" ({stop.reason})" if stop.reason else ""
    verb = "fail" if stop.kind is StopKind.FAIL else "cancel"
    return f"it was asked to {verb} {ago}{by}{reason}"
