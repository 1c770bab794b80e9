"""Runs that wait for a claim: in their queue, or aside because no worker knows their runner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stepflow.core.graphs.definitions import runner_in_words
from stepflow.core.ids import split_runner
from stepflow.core.run import Priority, Run, priority_name
from stepflow.engine.why.facts import Facts, Place, Worker, World
from stepflow.engine.why.make import cancelling, failing, make
from stepflow.engine.why.model import Why
from stepflow.engine.why.words import count, lasting, listed, moment, ordinal
from stepflow.shell import to_type


def queued(facts: Facts, run: Run) -> Why:
    """Explain a run that waits for a claim."""
    place = facts.place
    if facts.world.refusal:
        return _unwritable(facts, run)
    if place.waiting_position is not None or (run.unroutable_since and place.position is None):
        return _blocked(facts, run)
    world, evidence = facts.world, _evidence(place, run)
    if world.is_suspended:
        return make(
            facts, "queued.suspended", "RQ is suspended, so no worker takes anything",
            since=place.queued_at or 0.0, moved_by="somebody who resumes RQ",
            commands=["rq resume"], evidence=evidence,
        )  # fmt: skip
    if (paused := _paused(facts, run, evidence)) is not None:
        return paused
    in_lane = place.lane_position is not None
    if not in_lane and place.position is None and place.queued_at and place.is_searched:
        return make(
            facts, "lost.soon",
            f"its queue entry is gone; it is replaced within {lasting(world.redeliver_s)} of a "
            "worker's seeing that", since=place.queued_at, moved_by="the next rounds of a worker",
            commands=[] if world.serving(place.rq_queue) else [
                f"stepflow worker APP --queue {run.queue}"
            ], evidence=evidence,
        )  # fmt: skip
    serving = world.serving(place.rq_queue)
    if not serving:
        return _no_worker(facts, run, evidence)
    if (unhealthy := _unhealthy(facts, serving, evidence)) is not None:
        return unhealthy
    serving = [worker for worker in serving if not worker.trouble]
    names = [worker.name for worker in serving]
    evidence |= {"workers": names, "free_slots": _free(world, serving)}
    if run.failures or run.crashes:
        return _again(facts, run, evidence)
    return _in_lane(facts, run, evidence) if in_lane else _in_queue(facts, run, serving, evidence)


def _in_queue(facts: Facts, run: Run, serving: Sequence[Worker], evidence: dict[str, Any]) -> Why:
    """Explain a run that stands in its queue, which these workers serve."""
    world, place, queue = facts.world, facts.place, _queue(run)
    where = _where(place)
    if evidence["free_slots"] > 0:
        return make(
            facts, "queued.next",
            f"{where} queue {queue}; a worker with a free slot takes it at once",
            since=place.queued_at or 0.0, moved_by="a claim", evidence=evidence,
        )  # fmt: skip
    before = _before(world, serving, place.rq_queue)
    waited = f" since {moment(place.queued_at, world.now)}" if place.queued_at else ""
    if before:
        ahead = listed([f"{size:,} in {name}" for name, size in before.items()])
        return make(
            facts, "queued.behind",
            f"{where} queue {queue}{waited}, behind what its workers serve first: {ahead}",
            since=place.queued_at or 0.0, moved_by="a claim", commands=[cancelling(facts)],
            evidence={**evidence, "before": before},
        )  # fmt: skip
    slots = sum(worker.slots or 0 for worker in serving)
    full = f"all {slots:,} slots of {count(len(serving), 'worker')} are taken"
    return make(
        facts, "queued.busy", f"{where} queue {queue}{waited}; {full}",
        since=place.queued_at or 0.0, moved_by="a claim, once a slot is free",
        commands=[f"stepflow worker APP --queue {run.queue}"], evidence=evidence,
    )  # fmt: skip


def _unwritable(facts: Facts, run: Run) -> Why:
    """Explain a run that no worker can claim because Redis refuses writes."""
    refusal, place = facts.world.refusal, facts.place
    return make(
        facts, "queued.unwritable", f"Redis refuses writes: {refusal}; no worker can take it",
        since=place.queued_at or 0.0, moved_by="somebody who makes Redis take writes",
        commands=["stepflow doctor"], evidence={**_evidence(place, run), "refusal": refusal},
    )  # fmt: skip


def _in_lane(facts: Facts, run: Run, evidence: dict[str, Any]) -> Why:
    """Explain a run that waits in the lane of its tenant."""
    place, since = facts.place, facts.place.queued_at or 0.0
    others = (
        f"{count(place.lanes, 'tenant')} take turns" if place.lanes > 1 else "nobody else waits"
    )
    return make(
        facts, "queued.lane",
        f"{ordinal((place.lane_position or 0) + 1)} of {place.lane}; {others}, in queue "
        f"{_queue(run)} since {moment(since, facts.world.now)}",
        since=since, moved_by="a claim, in its turn",
        commands=[to_type("queue lanes", run.queue), cancelling(facts)],
        evidence={
            **evidence, "lane": place.lane, "lane_position": place.lane_position,
            "lane_length": place.lane_length, "lanes": place.lanes,
        },
    )  # fmt: skip


def _unhealthy(facts: Facts, workers: Sequence[Worker], evidence: dict[str, Any]) -> Why | None:
    """Explain a run whose workers take nothing because of their resources, each of them."""
    if not all(worker.trouble for worker in workers):
        return None
    first, more = workers[0], len(workers) - 1
    others = f"; so {'is' if more == 1 else 'are'} {count(more, 'other')}" if more else ""
    return make(
        facts, "queued.unhealthy",
        f"worker {first.name} is unhealthy and takes nothing ({first.trouble}){others}",
        since=facts.place.queued_at or 0.0, moved_by="a worker whose resources are well",
        commands=["stepflow workers"],
        evidence={**evidence, "unhealthy": {each.name: each.trouble for each in workers}},
    )  # fmt: skip


def _paused(facts: Facts, run: Run, evidence: dict[str, Any]) -> Why | None:
    """Explain a run whose queue somebody has paused."""
    name = facts.place.rq_queue.removesuffix(".high").removesuffix(".low")
    if name not in facts.world.paused:
        return None
    by, reason, at = facts.world.paused[name]
    why = f": {reason}" if reason else ""
    return make(
        facts, "queued.paused",
        f"queue {run.queue} was paused by {by or 'somebody'} at {moment(at, facts.world.now)}{why}",
        since=at, moved_by="somebody who resumes the queue",
        commands=[to_type("queue resume", run.queue)],
        evidence={**evidence, "by": by, "reason": reason},
    )  # fmt: skip


def _queue(run: Run) -> str:
    return (
        run.queue
        if run.priority == Priority.NORMAL
        else f"{run.queue} ({priority_name(run.priority)})"
    )


def _where(place: Place) -> str:
    if place.position is None:
        return f"it is among the last of {place.length:,} in"
    if place.length <= 1:
        return "it is the only one in"
    return f"it is the {ordinal(place.position + 1)} of {place.length:,} in"


def _evidence(place: Place, run: Run) -> dict[str, Any]:
    return {
        "delivery": run.delivery, "queue": place.rq_queue, "queued_at": place.queued_at,
        "position": place.position, "length": place.length,
    }  # fmt: skip


def _free(world: World, serving: Sequence[Worker]) -> int:
    """Count the free slots of workers; one at least where one of them does not say how many."""
    if not all(worker.slots for worker in serving):
        return 1
    queues = {queue for worker in serving for queue in worker.queues}
    claimed = sum(world.claimed.get(queue, 0) for queue in queues)
    return max(0, sum(worker.slots or 0 for worker in serving) - claimed)


def _before(world: World, serving: Sequence[Worker], rq_queue: str) -> dict[str, int]:
    """Give the queues that each of these workers serves before *rq_queue*, and what waits there."""
    first = [list(worker.queues)[: list(worker.queues).index(rq_queue)] for worker in serving]
    common = [queue for queue in first[0] if all(queue in queues for queues in first)]
    return {queue: world.lengths[queue] for queue in common if world.lengths.get(queue)}


def _no_worker(facts: Facts, run: Run, evidence: dict[str, Any]) -> Why:
    world, queue = facts.world, facts.place.rq_queue
    evidence = {**evidence, "workers": [worker.name for worker in world.live]}
    start = f"stepflow worker APP --queue {run.queue}"
    if blocked := [worker.name for worker in world.blocked(queue)]:
        return make(
            facts, "queued.no_worker",
            f"code blocks the event loop of {'workers' if blocked[1:] else 'worker'} "
            f"{listed(blocked)}, and no other works queue {run.queue!r}",
            since=facts.place.queued_at or 0.0, moved_by="the code that blocks, or another worker",
            commands=["stepflow workers", start], evidence={**evidence, "blocked": blocked},
        )  # fmt: skip
    dead = [worker for worker in world.workers if worker.is_ours and queue in worker.queues]
    last = max(dead, key=lambda worker: worker.seen_at, default=None)
    seen = f", last {moment(last.seen_at, world.now)}" if last is not None and last.seen_at else ""
    before = f" (it was {last.name}{seen})" if last is not None else ""
    return make(
        facts, "queued.no_worker", f"no live worker works queue {run.queue!r}{before}",
        since=facts.place.queued_at or 0.0, moved_by=f"a worker of queue {run.queue!r} that starts",
        commands=[start], evidence=evidence,
    )  # fmt: skip


def _again(facts: Facts, run: Run, evidence: dict[str, Any]) -> Why:
    if run.failures:
        which = f"attempt {run.failures + 1} of step {run.step}"
        last = f"; the last one failed: {facts.error}" if facts.error else ""
    else:
        which = f"step {run.step}, which was lost {count(run.crashes, 'time')} with its worker,"
        last = ""
    return make(
        facts, "queued.again", f"{which} waits in queue {_queue(run)}{last}",
        since=facts.place.queued_at or 0.0, moved_by="a claim", commands=[cancelling(facts)],
        evidence={**evidence, "failures": run.failures, "crashes": run.crashes},
    )  # fmt: skip


def _blocked(facts: Facts, run: Run) -> Why:
    world, place, key = facts.world, facts.place, run.runner_key
    evidence = {
        **_evidence(place, run), "runner": key, "waiting_position": place.waiting_position,
        "waiting_length": place.waiting_length, "unroutable_since": run.unroutable_since,
    }  # fmt: skip
    since = run.unroutable_since
    if place.is_of_build:
        workers, problem = facts.tried
        return make(
            facts, "blocked.code",
            f"the code of worker {workers} does not fit ({problem}); it is handed to one of other "
            "code", since=since, moved_by="a worker of another build",
            commands=[f"stepflow worker APP --queue {run.queue}", failing(facts)],
            evidence={**evidence, "tried": workers, "problem": problem},
        )  # fmt: skip
    others = place.waiting_length - 1
    more = f"; {count(others, 'other waits', 'others wait')} for it" if others > 0 else ""
    runner = runner_in_words(run.runner)
    knowing = [worker for worker in world.live if worker.knows(key)]
    here = [worker for worker in knowing if place.rq_queue in worker.queues]
    if here and (unhealthy := _unhealthy(facts, here, evidence)) is not None:
        return unhealthy
    if here:
        return make(
            facts, "blocked.coming",
            f"worker {here[0].name} knows {runner} and takes it within a second",
            since=since, moved_by="that worker's next round", evidence=evidence,
        )  # fmt: skip
    if knowing:
        worker = knowing[0]
        works = listed(sorted({name.removesuffix(".high").removesuffix(".low")
                               for name in worker.queues}))  # fmt: skip
        return make(
            facts, "blocked.queue",
            f"worker {worker.name} knows {runner}, but works {works} and not queue "
            f"{run.queue!r}{more}", since=since, moved_by="a worker that has both",
            commands=[f"stepflow worker APP --queue {run.queue}", failing(facts)],
            evidence={**evidence, "workers": [each.name for each in knowing]},
        )  # fmt: skip
    versions = sorted(_versions(world, run.runner))
    start = [f"stepflow worker APP --queue {run.queue}", failing(facts)]
    if versions:
        held = " and ".join(map(str, versions))
        return make(
            facts, "blocked.version",
            f"it needs {runner} in version {run.version}; live workers have version "
            f"{held}{more}", since=since, moved_by="a worker that has that version",
            commands=start, evidence={**evidence, "versions": versions},
        )  # fmt: skip
    return make(
        facts, "blocked.runner",
        f"no live worker knows {runner_in_words(key)}, since {moment(since, world.now)}{more}",
        since=since, moved_by="a worker that knows it", commands=start,
        evidence={**evidence, "workers": [each.name for each in world.live]},
    )  # fmt: skip


def _versions(world: World, runner: str) -> set[int]:
    """Give the versions of a runner that live workers have."""
    found = set[int]()
    for worker in world.live:
        for key in worker.runners or ():
            try:
                name, version = split_runner(key)
            except ValueError:
                continue
            if name == runner:
                found.add(version)
    return found
