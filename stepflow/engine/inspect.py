"""
Who is out there.

The queues and what waits in them, the workers and what they hold, runs by the start of their id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stepflow.core.ids import Delivery
from stepflow.core.run import ENDS
from stepflow.engine.env import Env
from stepflow.engine.versions import LIVE_S
from stepflow.store.calls import Plan
from stepflow.store.claims import claim_holder, standing_claims
from stepflow.store.keys import RQ_QUEUES
from stepflow.store.query import (
    members,
    queue_facts,
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

    *length* counts what waits, *running* what workers hold, *oldest_s* is the longest wait.

    *is_foreign* marks a queue whose entries are not stepflow's, counted as RQ counts them;
    *is_hooks* the one that carries hook deliveries.
    """

    queue: str
    priority: str
    length: int
    running: int
    oldest_s: float | None
    is_foreign: bool = False
    is_hooks: bool = False


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """
    One worker process as RQ knows it.

    *running* counts the claims under its name, -1 for a worker not ours.

    *is_live* is False for one that died without a word: RQ forgets it a minute or two later.
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


@dataclass(frozen=True, slots=True)
class StepInfo:
    """
    How one delivery of a step ended.

    *is_closed* when that closed the step, else it was tried again.
    """

    number: int
    attempt: int
    outcome: str
    worker: str
    is_closed: bool
    started_at: datetime | None
    ended_at: datetime | None


def queues(env: Env) -> Plan[list[QueueInfo]]:
    """
    Describe every queue of this name space, and foreign ones of the same Redis, by name and
    priority.
    """
    now = yield server_time()
    entries = yield members(RQ_QUEUES)
    names = [entry.removeprefix(_LIST) for entry in entries]
    names = [name for name in names if _is_shown(name, env)]
    found = []
    facts = (
        (yield [call for name in names for call in queue_facts(env.keys, name)]) if names else []
    )
    for index, name in enumerate(names):
        entries_there, head, waiting, since, running = facts[5 * index : 5 * index + 5]
        is_hooks = name == env.keys.hook_queue
        queue, priority = (name, None) if is_hooks else env.keys.split_queue(name)
        foreign = (
            entries_there > 0
            and not waiting
            and not is_hooks
            and Delivery.parse(head.removeprefix(env.keys.job_prefix)) is None
        )
        length = entries_there if foreign else waiting
        oldest = None if since is None else max(0.0, now - since)
        word = "normal" if priority is None else priority.name.lower()
        info = QueueInfo(queue, word, length, running, oldest, foreign, is_hooks)
        found.append((is_hooks, queue, priority or 0, info))
    return [info for *_, info in sorted(found, key=lambda row: row[:3])]


def _is_shown(name: str, env: Env) -> bool:
    """
    Leave out the queues of other name spaces.

    Theirs have a prefix and a dot, ours no dot but a priority's.
    """
    if name == env.keys.hook_queue:
        return True
    queue, priority = env.keys.split_queue(name)
    return "." not in queue and env.keys.rq_queue(queue, priority) == name


def workers(env: Env) -> Plan[list[WorkerInfo]]:
    """Describe the workers that RQ knows, with what each of them holds."""
    names = yield rq_worker_names()
    if not names:
        return []
    rows = yield [rq_worker_row(name) for name in names]
    held = yield from _held(env)
    found = [_worker(name, row, held) for name, row in zip(names, rows, strict=True) if row]
    if not found:
        return []
    now, *seen = yield [
        server_time(),
        *(worker_seen(env.keys, _group(info, env), info.name) for info in found),
    ]
    found = [
        replace(info, is_live=_is_live(info, at, now)) for info, at in zip(found, seen, strict=True)
    ]
    return sorted(found, key=lambda info: (info.started_at is None, info.started_at, info.name))


def _group(info: WorkerInfo, env: Env) -> str:
    """Name the group of workers with the same queues, in which they say that they live."""
    return "+".join(
        sorted(
            {env.keys.split_queue(name)[0] for name in info.queues if name != env.keys.hook_queue}
        )
    )


def _is_live(info: WorkerInfo, seen: float | None, now: float) -> bool:
    """Whether a worker of ours was heard of within the last seconds, or is only just starting."""
    if info.concurrency is None:
        return True
    started = 0.0 if info.started_at is None else info.started_at.timestamp()
    return max(seen or 0.0, started) > now - LIVE_S


def _worker(name: str, row: Mapping[bytes, bytes], held: Mapping[str, int]) -> WorkerInfo:
    def words(field: bytes) -> list[str]:
        # RQ writes names with commas; a worker of ours that wrote a Python list over them is
        # understood as well
        return [name for word in text(field).split(",") if (name := word.strip("[]' "))]

    def text(field: bytes) -> str:
        return row.get(field, b"").decode("utf-8", "backslashreplace")

    def number(field: bytes) -> int:
        held_ = row.get(field, b"")
        return int(held_) if held_.isdigit() else 0

    ours = b"concurrency" in row
    return WorkerInfo(
        name,
        text(b"state") or "?",
        number(b"pid"),
        text(b"hostname"),
        words(b"queues"),
        words(b"runners"),
        number(b"concurrency") if ours else None,
        held.get(name, 0) if ours else -1,
        number(b"successful_job_count"),
        _moment(row.get(b"birth")),
        _moment(row.get(b"last_heartbeat")),
    )


def _held(env: Env) -> Plan[Counter[str]]:
    """Count the claims under each worker's name."""
    holders: dict[str, str] = {}
    cursor = 0
    while True:
        cursor, members_ = yield standing_claims(env.keys, cursor, PAGE)
        if members_:
            tokens = yield [claim_holder(env.keys, member) for member in members_]
            holders |= dict(zip(members_, tokens, strict=True))
        if not cursor:
            return Counter(token.partition(".")[0] for token in holders.values() if token)


def _moment(field: bytes | None) -> datetime | None:
    """Read a time as RQ writes it; None for none, and for what cannot be read."""
    try:
        return None if not field else datetime.fromisoformat(field.decode()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def steps(run_id: str, env: Env) -> Plan[list[StepInfo]]:
    """Give how each delivery of each step of a run ended, in the order it happened."""
    records = yield load_steps(env.keys, run_id)
    found = [_step(name, record) for name, record in records.items()]
    return sorted(
        found,
        key=lambda step: (step.number, step.is_closed, step.ended_at is not None, step.ended_at),
    )


def _step(name: bytes, record: bytes) -> StepInfo:
    """
    Read a step record.

    Of one that cannot be read, what it holds stands in the place of its outcome.
    """
    number, dot, _ = name.decode("utf-8", "backslashreplace").partition(".")
    step = int(number) if number.isdecimal() else 0
    try:
        head, attempt, started, ended = record.decode().split(" ")
        token, outcome = head.rsplit(".", 1)
        at = [as_datetime(float(moment)) for moment in (started, ended)]
        return StepInfo(step, int(attempt), outcome, token.split(".", 1)[0], not dot, *at)
    except ValueError:
        return StepInfo(step, 0, f"unreadable: {record[:60]!r}", "", not dot, None, None)


def find_runs(start: str, env: Env, *, limit: int = 6) -> Plan[list[str]]:
    """Give the run called *start*, else the runs whose ids begin with it, at most *limit*."""
    if (yield load_run(env.keys, start)) is not None:
        return [start]
    found: set[str] = set()
    for index in (env.keys.live, *(env.keys.done_index(end) for end in ENDS)):
        cursor = "0"
        while len(found) < limit:
            cursor, page = yield scan_members(index, cursor, start)
            found.update(page)
            if cursor == "0":
                break
    kept = sorted(found)
    rows = (yield [load_run(env.keys, run_id) for run_id in kept]) if kept else []
    return [run_id for run_id, run in zip(kept, rows, strict=True) if run is not None][:limit]


def lasting_keys() -> Plan[list[str]]:
    """
    Name every key of this Redis that has no time to live.

    For tests and the demo: it walks all keys.
    """
    found: list[str] = []
    cursor = "0"
    while True:
        cursor, page = yield scan_keys(cursor, PAGE)
        ttls = (yield [time_to_live(key) for key in page]) if page else []
        found += [key for key, ttl in zip(page, ttls, strict=True) if ttl == -1]
        if cursor == "0":
            return sorted(set(found))
