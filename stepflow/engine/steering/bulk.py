"""
Bulks: one verb for all runs that fit some conditions, carried out by the workers.

First the runs that fit are selected, a page of an index at a time; then the verb is done to each,
at a pace, a few at a time. After each page and each few the record says how far it has come, so any
worker carries it on, whoever dies. A run that a verb was done to just before its worker died is
known by the request id of the bulk, which stands in its record, and is not touched again.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepflow.core.ids import new_run_id
from stepflow.core.run import ENDS, Run, RunState, RunStatus
from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.listing.sources import sources
from stepflow.engine.outbox import BULK
from stepflow.engine.retry import retry
from stepflow.engine.signal import check_signal, signal
from stepflow.engine.status import status_of
from stepflow.engine.steering import audit
from stepflow.engine.steering.delete import delete
from stepflow.engine.steering.pause import pause, resume
from stepflow.engine.steering.where import Where
from stepflow.errors import (
    BulkGrown,
    BulkNotFound,
    DataError,
    InvalidOption,
    RedisRefused,
    RunStateError,
    UsageError,
    shown,
)
from stepflow.store.calls import batch, batch_of, together
from stepflow.store.hooks import ANYONE, PENDING, HookJob, HookRecord, rq_id_of, write_new_hook
from stepflow.store.query import index_size, newest
from stepflow.store.runs import load_data, load_run
from stepflow.store.steering.bulk import (
    DONE,
    RUNNING,
    SELECTING,
    STOPPED,
    BulkRecord,
    advance_bulk,
    forget_bulk,
    load_bulk,
    load_request,
    load_selected,
    scan_index,
    start_bulk,
)
from stepflow.store.values.codec import pack, unpack
from stepflow.times import as_datetime

log = logging.getLogger("stepflow.bulk")

_LIVE = frozenset(
    {RunState.SCHEDULED, RunState.PENDING, RunState.RUNNING, RunState.WAITING, RunState.PAUSED}
)
#: the verbs, and the states of the runs that each can be done to
VERBS: Mapping[str, frozenset[RunState]] = {
    "cancel": _LIVE,
    "retry": frozenset({RunState.FAILED}),
    "delete": frozenset(ENDS),
    "resume": frozenset({RunState.PAUSED}),
    "pause": _LIVE - {RunState.PAUSED},
    "signal": _LIVE,
}
#: runs that a preview counts at most, and examples that it gives
COUNTED, EXAMPLES = 10_000, 5
#: index members looked at in one go, and runs that a verb is done to in one
_PAGE, _BATCH = 200, 50
#: runs a second by default, and at most
RATE, MOST_RATE = 100.0, 10_000.0
#: seconds between two goes, where the pace allows it
_TICK_S = 0.1
#: by how much what fits may have grown since somebody looked
_GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class Preview:
    """How many runs a bulk would affect, exactly or at least, with some examples."""

    count: int
    is_exact: bool
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class BulkInfo:
    """
    A bulk operation: what it does to which runs, and its progress.

    *state* is `selecting`, `running`, `stopped` or `done`; *total* is None while it selects. *done*
    counts the runs that the verb was applied to, *refused* those that refused it, *changed* those
    that no longer fitted when their turn came, *gone* those whose records were gone.
    """

    id: str
    verb: str
    where: str
    state: str
    by: str
    rate: float
    total: int | None
    done: int
    refused: int
    changed: int
    gone: int
    created_at: datetime | None
    ended_at: datetime | None


@dataclass(slots=True)
class _BulkEnv(Env):
    """What a bulk's verbs work with: its own request id marks the runs that it has moved."""

    request: str = ""

    def request_id(self) -> str:
        return self.request


def _env_of(record: BulkRecord, env: Env) -> _BulkEnv:
    return _BulkEnv(
        env.keys, env.settings, env.clock, env.rng, env.hooks_of, request=f"bulk-{record.id}"
    )


def info_of(record: BulkRecord) -> BulkInfo:
    """Turn a record into what callers see."""
    return BulkInfo(
        record.id, record.verb, record.where, record.state, record.by, record.rate,
        total=None if record.state == SELECTING else record.total,
        **{name: record.counts.get(name, 0) for name in ("done", "refused", "changed", "gone")},
        created_at=as_datetime(record.created_at), ended_at=as_datetime(record.ended_at),
    )  # fmt: skip


# by whoever asks


async def preview(verb: str, where: str, env: Env) -> Preview:
    """
    Count the runs that a bulk would concern, up to COUNTED.

    Raises InvalidOption for a verb that is none, and for what is no condition.
    """
    now = env.clock.now()
    conditions = Where.parse(where, now)
    found: dict[str, None] = {}
    for index in _indexes(_check_verb(verb), conditions, env):
        cursor = ""
        while cursor != "0":
            cursor, members = await scan_index(index, cursor or "0", _PAGE)
            fitting = await _fitting(verb, conditions, members, now, env)
            found.update(dict.fromkeys(run_id for run_id, _ in fitting))
            if len(found) > COUNTED:
                return Preview(COUNTED, is_exact=False, examples=list(found)[:EXAMPLES])
    return Preview(len(found), is_exact=True, examples=list(found)[:EXAMPLES])


async def begin(
    verb: str,
    where: str,
    env: Env,
    *,
    by: str,
    rate: float = RATE,
    expect: int | None = None,
    options: Mapping[str, Any],
) -> BulkInfo:
    """
    Begin a bulk: workers do *verb* to each run that fits *where* and was made before now.

    *rate* is in runs a second. *options* are the reason, or the name and payload of a signal.
    Raises InvalidOption, InvalidName, and BulkGrown when a tenth more runs fit than *expect*.
    """
    _check_verb(verb)
    if not 0 < rate <= MOST_RATE:
        raise InvalidOption(f"rate is {rate:g}; it must be above 0, at most {MOST_RATE:g} a second")
    if verb == "signal":
        check_signal(options.get("name"))
    now = env.clock.now()
    conditions = Where.parse(where, now)
    if expect is not None:
        there = await preview(verb, where, env)
        if not there.is_exact or there.count > expect * _GROWTH:
            raise BulkGrown(expect, there.count)
    record = BulkRecord(
        new_run_id(now, secrets.randbits(80)), verb, conditions.write(), by, rate,
        options=pack(dict(options), limit=env.settings.limits.payload_bytes), created_at=now,
    )  # fmt: skip
    job = _delivery(record, env)
    request = env.request_id()
    await start_bulk(env.keys, record, job, expected=None, request=request, now=now)
    return info_of(record)


def _check_verb(verb: str) -> str:
    if verb not in VERBS:
        raise InvalidOption(
            f"{shown(verb)} is not a verb for a bulk; the verbs are {', '.join(VERBS)}"
        )
    return verb


def _delivery(record: BulkRecord, env: Env) -> HookJob:
    """Make the delivery by which a worker comes to carry the bulk on."""
    hook_id = f"bulk-{record.id}-{record.deliveries}"
    rq_id = rq_id_of(env.keys, hook_id, 0)
    hook = HookRecord(
        hook_id, record.id, ANYONE, PENDING, pack([BULK, record.id]), b"", delivery=rq_id,
        created_at=env.clock.now(),
    )  # fmt: skip
    return HookJob(hook_id, rq_id, write_new_hook(hook, env.keys))


async def find(bulk_id: str, env: Env) -> BulkInfo:
    """Read a bulk; raises BulkNotFound."""
    return info_of(await _load(bulk_id, env))


async def _load(bulk_id: str, env: Env) -> BulkRecord:
    record = await load_bulk(env.keys, bulk_id)
    if record is None:
        raise BulkNotFound(bulk_id)
    return record


async def bulks(env: Env, *, limit: int) -> list[BulkInfo]:
    """Return the bulk operations that are kept, newest first."""
    found = await newest(env.keys.bulks, before=None, count=limit)
    records = await batch_of([load_bulk(env.keys, bulk_id) for bulk_id, _ in found])
    gone = [name for (name, _), record in zip(found, records, strict=True) if record is None]
    with suppress(RedisRefused):  # of a user who may only look
        await batch_of([forget_bulk(env.keys, bulk_id) for bulk_id in gone])
    return [info_of(record) for record in records if record is not None]


async def stop(bulk_id: str, env: Env) -> BulkInfo:
    """Have a bulk stop where it is; nothing to do for one that is over. Raises BulkNotFound."""
    request = env.request_id()
    while True:
        record = await _load(bulk_id, env)
        if record.state in (STOPPED, DONE):
            return info_of(record)
        stopped = replace(record, state=STOPPED, rev=record.rev + 1, ended_at=env.clock.now())
        if await _advance(stopped, record.rev, request, env):
            return info_of(stopped)


async def carry_again(bulk_id: str, env: Env) -> BulkInfo:
    """
    Have a stopped bulk go on where it stopped; raises BulkNotFound.

    One that seems stuck gets another delivery, which does no harm. Nothing to do for one that is
    done.
    """
    request = env.request_id()
    while True:
        record = await _load(bulk_id, env)
        if record.state == DONE:
            return info_of(record)
        selected = record.total > 0 or record.cursor > 0
        again = replace(
            record, rev=record.rev + 1, deliveries=record.deliveries + 1, ended_at=0.0,
            state=record.state if record.state != STOPPED else RUNNING if selected else SELECTING,
        )  # fmt: skip
        if await start_bulk(
            env.keys, again, _delivery(again, env), expected=record.rev, request=request,
            now=env.clock.now(),
        ):  # fmt: skip
            return info_of(again)


# by the worker that carries it on


async def carry_on(bulk_id: str, env: Env) -> float | None:
    """
    Carry a bulk on by one page or one go, and give the seconds until the next; None at its end.

    Safe to repeat, and by two at once: the one who writes first counts.
    """
    record = await load_bulk(env.keys, bulk_id)
    if record is None or record.state not in (SELECTING, RUNNING) or record.verb not in VERBS:
        return None
    if record.state == SELECTING:
        await _select(record, env)
        return 0.0
    return await _go(record, env)


async def _select(record: BulkRecord, env: Env) -> None:
    where = Where.parse(record.where, record.created_at)
    indexes = _indexes(record.verb, where, env)
    selected: list[tuple[str, float]] = []
    further = replace(record, rev=record.rev + 1)
    if record.index < len(indexes):
        index = indexes[record.index]
        further.scan, members = await scan_index(index, record.scan, _PAGE)
        further.index += further.scan == "0"
        selected = await _fitting(record.verb, where, members, record.created_at, env)
    else:
        further.total = await index_size(env.keys.bulk_runs(record.id))
        further.state, further.paced_at = RUNNING, env.clock.now()
        log.info("bulk=%s %s: %s runs selected", record.id, record.verb, further.total)
    await _advance(further, record.rev, env.request_id(), env, selected)


def _indexes(verb: str, where: Where, env: Env) -> list[str]:
    """Name the indexes that together hold all that fits, those first that a run leaves."""
    state = where.value_of("state")
    wanted = [each for each in RunState if each in VERBS[verb] and state in (None, each.value)]
    ends = [each for each in wanted if each in ENDS]
    found = sources(
        env.keys, has_live=len(wanted) > len(ends), ends=ends, runner=where.value_of("runner"),
        tags=where.tags,
    )  # fmt: skip
    return [source.index for source in found]


async def _fitting(
    verb: str, where: Where, members: Sequence[tuple[str, float]], before: float, env: Env
) -> list[tuple[str, float]]:
    """Give those of some members of an index that fit, and were made or ended before a time."""
    earliest = where.since or 0.0
    near = [(run_id, at) for run_id, at in members if earliest <= at <= before]
    runs = await batch_of([load_run(env.keys, run_id) for run_id, _ in near])
    rows = (
        await batch_of([load_data(env.keys, run_id) for run_id, _ in near])
        if where.needs_data
        else [{} for _ in near]
    )
    return [
        member
        for member, run, data in zip(near, runs, rows, strict=True)
        if run is not None and _fits(verb, where, status_of(run, data), before)
    ]


def _fits(verb: str, where: Where, run: RunStatus, before: float) -> bool:
    """Whether a run fits that stands where it did before the bulk, so that it is moved once."""
    since = [run.created_at]
    if verb in ("retry", "delete"):
        since.append(run.ended_at)
    elif verb == "resume":
        since.append(run.updated_at)
    is_older = all(moment is None or moment.timestamp() <= before for moment in since)
    return is_older and run.state in VERBS[verb] and where.holds_for(run)


async def _go(record: BulkRecord, env: Env) -> float | None:
    now, further = env.clock.now(), replace(record, rev=record.rev + 1, counts={**record.counts})
    allowed = int(record.paced_from + (now - record.paced_at) * record.rate) - record.cursor
    most = max(1, int(record.rate))
    if allowed > most:  # nobody came by for a while; it does not make up for that
        allowed, further.paced_from, further.paced_at = (
            most,
            record.cursor,
            now - most / record.rate,
        )
    left = record.total - record.cursor
    wanted = min(left, _BATCH, max(1, round(record.rate * _TICK_S)))
    if allowed < wanted:
        return (wanted - allowed) / record.rate
    names = await load_selected(env.keys, record.id, record.cursor, min(allowed, left, _BATCH))
    where, mine = Where.parse(record.where, record.created_at), _env_of(record, env)
    answers = await together([_one(run_id, record, where, mine) for run_id in names])
    for answer in answers:
        further.counts[answer] = further.counts.get(answer, 0) + 1
    further.cursor += len(names)
    if not names or further.cursor >= record.total:
        further.state, further.ended_at = DONE, now
    if not await _advance(further, record.rev, env.request_id(), env):
        return await _count_after_stop(record, further, env)
    if further.state == DONE:
        log.info("bulk=%s %s: all is done: %s", record.id, record.verb, further.counts)
        return None
    return 0.0


async def _one(run_id: str, record: BulkRecord, where: Where, env: _BulkEnv) -> str:
    """Do the verb to one run, if it still fits, and say what became of it."""
    run, data, request = await batch(
        load_run(env.keys, run_id), load_data(env.keys, run_id), load_request(env.keys, run_id)
    )
    if run is None:
        return "done" if record.verb == "delete" else "gone"
    if request == env.request:
        return "done"
    if not _fits(record.verb, where, status_of(run, data), record.created_at):
        return "changed"
    try:
        done = await _do(record, run, env)
    except (RunStateError, UsageError, DataError) as refusal:
        log.info("bulk=%s run=%s refused %s: %s", record.id, run_id, record.verb, refusal)
        return "refused"
    if done:
        audit.note(record.verb, run_id, record.by, f"bulk {record.id}")
    return "done" if done else "changed"


async def _do(record: BulkRecord, run: Run, env: Env) -> bool:
    options = unpack(record.options)
    reason = str(options.get("reason") or "")
    match record.verb:
        case "cancel":
            return await cancel(run.id, reason, env, by=record.by)
        case "retry":
            await retry(run.id, env)
        case "delete":
            return await delete(run.id, env)
        case "resume":
            await resume(run.id, env)
        case "pause":
            await pause(run.id, reason, record.by, env)
        case _:
            name, payload = options["name"], options.get("payload")
            await signal(run.id, name, payload, f"bulk:{record.id}", env)
    return True


async def _count_after_stop(record: BulkRecord, further: BulkRecord, env: Env) -> float:
    """Count what was done while somebody stopped the bulk; what another has counted is dropped."""
    now = await load_bulk(env.keys, record.id)
    if now is not None and now.state == STOPPED and now.cursor == record.cursor:
        counted = replace(now, rev=now.rev + 1, cursor=further.cursor, counts=further.counts)
        await _advance(counted, now.rev, env.request_id(), env)
    return 0.0


async def _advance(
    record: BulkRecord,
    rev: int,
    request: str,
    env: Env,
    selected: Sequence[tuple[str, float]] = (),
) -> bool:
    is_over = record.state in (STOPPED, DONE)
    written: bool = await advance_bulk(
        env.keys, record, rev=rev, request=request, selected=selected,
        ttl_s=env.settings.retention.result_s if is_over else None,
    )  # fmt: skip
    return written
