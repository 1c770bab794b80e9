"""What operators look at: queues, workers, the steps of a run, runs by the start of their id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stepflow.core.ids import Delivery, check_count, worker_of
from stepflow.core.run import Priority, priority_name
from stepflow.core.step_record import Attempt, Attempts
from stepflow.engine.env import Env
from stepflow.engine.lanes.look import heads
from stepflow.engine.steering.queues import QueuePause, queue_pauses
from stepflow.engine.versions import BLOCKED_LIVE_S, LIVE_S
from stepflow.errors import did_you_mean
from stepflow.store.calls import batch, batch_of, together
from stepflow.store.claims import claim_holder, standing_claims
from stepflow.store.indexes.lists import all_runs
from stepflow.store.keys import RQ_QUEUES
from stepflow.store.query import (
    load_queue_facts,
    members,
    rq_worker_names,
    rq_worker_row,
    scan_keys,
    scan_members,
    server_time,
    time_to_live,
    worker_seen,
)  # fmt: skip
from stepflow.store.runs import load_run, load_steps
from stepflow.times import as_datetime

#: claims or keys looked at in one round trip
PAGE = 500
#: how RQ's entries of `rq:queues` begin
_LIST = "rq:queue:"


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """
    One queue at one priority.

    *length* counts the waiting runs, *running* those that workers are running, *oldest_s* is the
    longest wait in seconds. *is_foreign* marks a queue whose entries are not stepflow's, counted as
    RQ counts them; *is_hooks* the one that carries hook deliveries.
    """

    queue: str
    priority: str
    length: int
    running: int
    oldest_s: float | None
    is_foreign: bool = False
    is_hooks: bool = False
    #: who paused the queue, why, and when; None for one that is not paused
    paused: QueuePause | None = None
    #: how many lanes of it have waiting runs; *length* counts these as well
    lanes: int = 0


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """
    One worker process as RQ knows it.

    *state* is "busy" while it has steps, else "idle"; or "blocked" while user code blocks its event
    loop, "leaving" once it was told to stop, "unhealthy" while it takes nothing because of a
    resource. *health* says which resource is unhealthy or degraded, and why; empty when all are
    well. *running* counts the steps that it is running, -1 for a worker that is not stepflow's.
    *is_live* is False for one that was killed: RQ forgets it a minute or two later.
    """

    name: str
    state: str
    pid: int
    host: str
    queues: Sequence[str]
    runners: Sequence[str]
    concurrency: int | None
    running: int
    done: int
    started_at: datetime | None
    seen_at: datetime | None
    is_live: bool = True
    health: str = ""


@dataclass(frozen=True, slots=True)
class StepInfo:
    """
    How one attempt of a step ended.

    *is_closed* when it closed the step; otherwise the step was tried again.
    """

    number: int
    attempt: int
    outcome: str
    worker: str
    is_closed: bool
    started_at: datetime | None
    ended_at: datetime | None
    #: `Type: message` of the error that ended it; None without one
    error: str | None = None
    #: when the step was due again; None for at once, and for one that was closed
    due_at: datetime | None = None


async def queues(env: Env) -> list[QueueInfo]:
    """Describe every queue of this name space and RQ's others, by name and priority."""
    now = await server_time()
    entries = await members(RQ_QUEUES)
    names = [entry.removeprefix(_LIST) for entry in entries]
    names = [name for name in names if _is_shown(name, env)]
    pauses = await queue_pauses(env)
    names += [
        name for queue in pauses if (name := env.keys.rq_queue(queue, Priority.NORMAL)) not in names
    ]
    facts = await together([load_queue_facts(env.keys, name) for name in names])
    laned = {name: await heads(name, env) for name in await members(env.keys.laned)}
    found = []
    for name, (entries_there, head, pending, since, claimed) in zip(names, facts, strict=True):
        is_hooks = name == env.keys.hook_queue
        queue, priority = (name, None) if is_hooks else env.keys.split_queue(name)
        is_foreign = (
            entries_there > 0
            and not pending
            and not is_hooks
            and Delivery.parse(head.removeprefix(env.keys.job_prefix)) is None
        )
        in_lanes = laned.get(name, {}).values()
        times = [since, *(head.since for head in in_lanes)]
        first = min((at for at in times if at is not None), default=None)
        info = QueueInfo(
            queue,
            priority="normal" if priority is None else priority_name(priority),
            length=(entries_there if is_foreign else pending)
            + sum(head.waiting for head in in_lanes),
            running=claimed,
            oldest_s=None if first is None else max(0.0, now - first),
            is_foreign=is_foreign,
            is_hooks=is_hooks,
            paused=None if is_hooks else pauses.get(queue),
            lanes=len(in_lanes),
        )
        found.append((is_hooks, queue, priority or 0, info))
    return [info for *_, info in sorted(found, key=lambda row: row[:3])]


def _is_shown(name: str, env: Env) -> bool:
    """
    Whether a queue is not another name space's.

    Theirs have a prefix and a dot, ours only the dot of a priority.
    """
    if name == env.keys.hook_queue:
        return True
    queue, priority = env.keys.split_queue(name)
    return "." not in queue and env.keys.rq_queue(queue, priority) == name


async def workers(env: Env) -> list[WorkerInfo]:
    """Describe the workers that RQ knows, with the number of claims of each."""
    rows = await _rows()
    claims = await _count_claims(env) if rows else {}
    infos = [_worker(name, row, claims) for name, row in rows]
    found = await together([_with_liveness(info, env) for info in infos])
    return sorted(found, key=lambda info: (info.started_at is None, info.started_at, info.name))


async def own_workers(env: Env, host: str | None = None) -> list[WorkerInfo]:
    """
    Describe the workers of ours, those on *host* or all.

    What they run is not counted: that costs more than all the rest.
    """
    infos = [_worker(name, row, {}) for name, row in await _rows()]
    ours = [info for info in infos if host in (None, info.host) and info.concurrency is not None]
    return await together([_with_liveness(info, env) for info in ours])


async def _rows() -> list[tuple[str, Mapping[bytes, bytes]]]:
    names = await rq_worker_names()
    rows = await batch_of([rq_worker_row(name) for name in names]) if names else []
    return [(name, row) for name, row in zip(names, rows, strict=True) if row]


def unserved(runner: str, queue: str, found: Sequence[WorkerInfo], env: Env) -> str | None:
    """Say in words that none of the live workers takes runs of *runner* on *queue*; else None."""
    here = [
        worker
        for worker in found
        if worker.is_live and queue in {env.keys.split_queue(name)[0] for name in worker.queues}
    ]
    if not here:
        return f"no live worker listens to {queue!r}"
    # what a worker that is not stepflow's own knows, it does not say
    if any(not worker.runners for worker in here):
        return None
    known = sorted({key.partition("@")[0] for worker in here for key in worker.runners})
    if runner in known:
        return None
    return f"no live worker on {queue!r} knows runner {runner!r}{did_you_mean(runner, known)}"


async def _with_liveness(info: WorkerInfo, env: Env) -> WorkerInfo:
    seen = worker_seen(env.keys, _group(info, env), info.name)
    now, seen_at = await batch(server_time(), seen)
    return replace(info, is_live=_is_live(info, seen_at, now))


def _group(info: WorkerInfo, env: Env) -> str:
    """Name the group of workers with the same queues, in which each reports that it lives."""
    return "+".join(
        sorted(
            {env.keys.split_queue(name)[0] for name in info.queues if name != env.keys.hook_queue}
        )
    )


def _is_live(info: WorkerInfo, seen: float | None, now: float) -> bool:
    """
    Whether a worker of ours reported within the last seconds, is only just starting, or blocked.

    The loop of a blocked one does not report, a thread of it has said so.
    """
    if info.concurrency is None:
        return True
    started = 0.0 if info.started_at is None else info.started_at.timestamp()
    beat = 0.0 if info.seen_at is None else info.seen_at.timestamp()
    is_blocked = info.state == "blocked" and beat > now - BLOCKED_LIVE_S
    return is_blocked or max(seen or 0.0, started) > now - LIVE_S


#: what RQ says of a worker that is well
_RQS = frozenset({"idle", "busy"})


def _worker(name: str, row: Mapping[bytes, bytes], claims: Mapping[str, int]) -> WorkerInfo:
    def words(field: bytes) -> list[str]:
        # RQ writes names with commas; a worker of ours that wrote a Python list over them is
        # understood as well
        return [name for word in text(field).split(",") if (name := word.strip("[]' "))]

    def text(field: bytes) -> str:
        return row.get(field, b"").decode("utf-8", "backslashreplace")

    def number(field: bytes) -> int:
        written = row.get(field, b"")
        return int(written) if written.isdigit() else 0

    ours = b"concurrency" in row
    condition, _, trouble = text(b"condition").partition(": ")
    state = ("" if condition == "degraded" else condition) or text(b"state") or "?"
    if ours and state in _RQS:  # RQ's own word for it is as old as the last heartbeat
        state = "busy" if claims.get(name) else "idle"
    return WorkerInfo(
        name,
        state=state,
        pid=number(b"pid"),
        host=text(b"hostname"),
        queues=words(b"queues"),
        runners=words(b"runners"),
        concurrency=number(b"concurrency") if ours else None,
        running=claims.get(name, 0) if ours else -1,
        done=number(b"successful_job_count"),
        started_at=_moment(row.get(b"birth")),
        seen_at=_moment(row.get(b"last_heartbeat")),
        health=f"{condition}: {trouble}" if trouble else "",
    )


async def _count_claims(env: Env) -> Counter[str]:
    """Count the claims under each worker's name."""
    holders: dict[str, str] = {}
    cursor = 0
    while True:
        cursor, members_ = await standing_claims(env.keys, cursor, PAGE)
        tokens = await batch_of([claim_holder(env.keys, member) for member in members_])
        holders |= dict(zip(members_, tokens, strict=True))
        if not cursor:
            return Counter(worker_of(token) for token in holders.values() if token)


def _moment(field: bytes | None) -> datetime | None:
    """Read a time as RQ writes it; None for none, and for what cannot be read."""
    try:
        return None if not field else datetime.fromisoformat(field.decode()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


async def attempts(run_id: str, env: Env) -> Attempts:
    """Read the record of each attempt of each step of a run, in the order it happened."""
    return Attempts(await load_steps(env.keys, run_id))


async def steps(run_id: str, env: Env) -> list[StepInfo]:
    """Give how each attempt of each step of a run ended, in the order it happened."""
    return [step_info(attempt) for attempt in await attempts(run_id, env)]


def step_info(attempt: Attempt) -> StepInfo:
    """Turn the record of an attempt into what operators see."""
    read = attempt.record
    return StepInfo(
        attempt.number, attempt=read.attempt, outcome=read.outcome, worker=read.worker,
        is_closed=attempt.is_closed, started_at=as_datetime(read.started_at),
        ended_at=as_datetime(read.ended_at), error=read.error or None,
        due_at=as_datetime(read.due_at),
    )  # fmt: skip


async def find_runs(start: str, env: Env, *, limit: int = 6) -> list[str]:
    """Give the run called *start*, else the runs whose ids begin with it, at most *limit*."""
    check_count("limit", limit)
    if (await load_run(env.keys, start)) is not None:
        return [start]
    found: set[str] = set()
    for index in all_runs(env.keys):
        cursor = "0"
        while len(found) < limit:
            cursor, page = await scan_members(index, cursor, start)
            found.update(page)
            if cursor == "0":
                break
    kept = sorted(found)
    rows = await batch_of([load_run(env.keys, run_id) for run_id in kept])
    return [run_id for run_id, run in zip(kept, rows, strict=True) if run is not None][:limit]


async def lasting_keys() -> list[str]:
    """
    Name every key of this Redis that has no time to live.

    Walks all keys: for tests and the demo.
    """
    found: list[str] = []
    cursor = "0"
    while True:
        cursor, page = await scan_keys(cursor, PAGE)
        ttls = await batch_of([time_to_live(key) for key in page])
        found += [key for key, ttl in zip(page, ttls, strict=True) if ttl == -1]
        if cursor == "0":
            return sorted(set(found))
