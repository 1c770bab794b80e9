"""
Bulks, one verb for all runs that fit some conditions, as those see them who ask for them.

`bulk_runs` says which runs fit, and `carry_bulk` is what the workers do.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from stepflow.core.ids import check_count, new_run_id
from stepflow.engine.env import Env
from stepflow.engine.outbox import BULK
from stepflow.engine.signal import check_signal
from stepflow.engine.steering.bulk_runs import PAGE, check_verb, indexes_of, those_fitting
from stepflow.engine.steering.where import Where
from stepflow.errors import BulkGrown, BulkNotFound, InvalidOption, RedisRefused
from stepflow.store.calls import batch_of
from stepflow.store.hooks import ANYONE, PENDING, HookJob, HookRecord, rq_id_of, write_new_hook
from stepflow.store.query import newest
from stepflow.store.steering.bulk import (
    DONE,
    RUNNING,
    SELECTING,
    STOPPED,
    BulkRecord,
    advance_bulk,
    forget_bulk,
    load_bulk,
    scan_index,
    start_bulk,
)
from stepflow.store.values.codec import pack
from stepflow.times import as_datetime

#: runs that a preview counts at most, and examples that it gives
COUNTED, EXAMPLES = 10_000, 5
#: runs a second by default, and at most
RATE, MOST_RATE = 100.0, 10_000.0
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


def info_of(record: BulkRecord) -> BulkInfo:
    """Turn a record into what callers see."""
    return BulkInfo(
        record.id, record.verb, record.where, record.state, record.by, record.rate,
        total=None if record.state == SELECTING else record.total,
        **{name: record.counts.get(name, 0) for name in ("done", "refused", "changed", "gone")},
        created_at=as_datetime(record.created_at), ended_at=as_datetime(record.ended_at),
    )  # fmt: skip


async def preview(verb: str, where: str, env: Env) -> Preview:
    """
    Count the runs that a bulk would concern, up to COUNTED.

    Raises InvalidOption for a verb that is none, and for what is no condition.
    """
    now = env.clock.now()
    conditions = Where.parse(where, now)
    found: dict[str, None] = {}
    for index in indexes_of(check_verb(verb), conditions, env):
        cursor = ""
        while cursor != "0":
            cursor, members = await scan_index(index, cursor or "0", PAGE)
            fitting = await those_fitting(verb, conditions, members, now, env)
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
    check_verb(verb)
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
    job = delivery_of(record, env)
    request = env.request_id()
    await start_bulk(env.keys, record, job, expected=None, request=request, now=now)
    return info_of(record)


def delivery_of(record: BulkRecord, env: Env) -> HookJob:
    """Make the delivery by which a worker comes to carry the bulk on."""
    hook_id = f"bulk-{record.id}-{record.deliveries}"
    rq_id = rq_id_of(env.keys, hook_id, 0)
    hook = HookRecord(
        hook_id, record.id, ANYONE, PENDING, pack([BULK, record.id], in_clear=True), b"",
        delivery=rq_id, created_at=env.clock.now(),
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
    found = await newest(env.keys.bulks, before=None, count=check_count("limit", limit))
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
        if await advance_bulk(
            env.keys, stopped, rev=record.rev, request=request, selected=(),
            ttl_s=env.settings.retention.result_s,
        ):  # fmt: skip
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
            env.keys, again, delivery_of(again, env), expected=record.rev, request=request,
            now=env.clock.now(),
        ):  # fmt: skip
            return info_of(again)
