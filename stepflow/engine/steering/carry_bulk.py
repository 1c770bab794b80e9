"""
Bulks carried on by the workers, a page or a few runs at a time.

First the runs that fit are selected, a page of an index at a time; then the verb is done to each,
at a pace, a few at a time. After each page and each few the record says how far it has come, so any
worker carries it on, whoever dies. A run that a verb was done to just before its worker died is
known by the request id of the bulk, which stands in its record, and is not touched again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stepflow.core.run import Run
from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.retry import retry
from stepflow.engine.signal import signal
from stepflow.engine.status import status_of
from stepflow.engine.steering import audit
from stepflow.engine.steering.bulk_runs import PAGE, VERBS, fits, indexes_of, those_fitting
from stepflow.engine.steering.delete import delete
from stepflow.engine.steering.pause import pause, resume
from stepflow.engine.steering.where import Where
from stepflow.errors import DataError, RunStateError, UsageError
from stepflow.store.calls import batch, together
from stepflow.store.query import index_size
from stepflow.store.runs import load_data, load_run
from stepflow.store.steering.bulk import (
    BACKFILL,
    DONE,
    RUNNING,
    SELECTING,
    STOPPED,
    BulkRecord,
    advance_bulk,
    load_bulk,
    load_request,
    load_selected,
    scan_index,
)
from stepflow.store.values.codec import unpack

log = logging.getLogger("stepflow.bulk")
#: runs that a verb is done to in one go
_BATCH = 50
#: seconds between two goes, where the pace allows it
_TICK_S = 0.1
#: seconds between two looks at the run that the next one of a backfill waits for
WAIT_S = 0.5


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


async def carry_on(bulk_id: str, env: Env) -> float | None:
    """
    Carry a bulk on by one page or one go, and give the seconds until the next; None at its end.

    Safe to repeat, and by two at once: the one who writes first counts.
    """
    record = await load_bulk(env.keys, bulk_id)
    if record is None or record.state not in (SELECTING, RUNNING):
        return None
    if record.verb not in VERBS and record.verb != BACKFILL:
        return None
    if record.state == SELECTING:
        await _select(record, env)
        return 0.0
    return await _go(record, env)


async def _select(record: BulkRecord, env: Env) -> None:
    further = replace(record, rev=record.rev + 1)
    if record.verb == BACKFILL:
        selected = await _next_times(further, env)
        is_over = not selected
    else:
        selected, is_over = await _next_fitting(further, env)
    if is_over:
        further.total = await index_size(env.keys.bulk_runs(record.id))
        further.state, further.paced_at = RUNNING, env.clock.now()
        log.info("bulk=%s %s: %s runs selected", record.id, record.verb, further.total)
    await _advance(further, record.rev, env.request_id(), env, selected)


async def _next_fitting(record: BulkRecord, env: Env) -> tuple[list[tuple[str, float]], bool]:
    """Give those that fit on the next page of an index; True when there is none any more."""
    where = Where.parse(record.where, record.created_at)
    indexes = indexes_of(record.verb, where, env)
    if record.index >= len(indexes):
        return [], True
    index = indexes[record.index]
    record.scan, members = await scan_index(index, record.scan, PAGE)
    record.index += record.scan == "0"
    return await those_fitting(record.verb, where, members, record.created_at, env), False


async def _next_times(record: BulkRecord, env: Env) -> list[tuple[str, float]]:
    """Give the next times of a backfill."""
    from stepflow.engine.schedules.backfill import select_times  # noqa: PLC0415  few have any

    selected = await select_times(record, PAGE, env)
    record.scan = f"{selected[-1][1]:.0f}" if selected else record.scan
    return selected


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
    if record.verb == BACKFILL:
        names, answers = await _backfill(record, min(allowed, left, _BATCH), env)
        if left and not names:
            return WAIT_S
    else:
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


async def _backfill(record: BulkRecord, count: int, env: Env) -> tuple[list[str], list[str]]:
    """Begin the next runs of a backfill; gives their ids, none while the last one has not ended."""
    from stepflow.engine.schedules import backfill  # noqa: PLC0415  few have any

    count = backfill.in_one_go(record, count)
    first = max(0, record.cursor - 1)
    names = await load_selected(env.keys, record.id, first, count + record.cursor - first)
    before = names.pop(0) if record.cursor else ""
    if await backfill.waits_for(record, before, env):
        return [], []
    return names, await backfill.begin_runs(record, names, env)


async def _one(run_id: str, record: BulkRecord, where: Where, env: _BulkEnv) -> str:
    """Do the verb to one run, if it still fits, and say what became of it."""
    run, data, request = await batch(
        load_run(env.keys, run_id), load_data(env.keys, run_id), load_request(env.keys, run_id)
    )
    if run is None:
        return "done" if record.verb == "delete" else "gone"
    if request == env.request:
        return "done"
    if not fits(record.verb, where, status_of(run, data), record.created_at):
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
