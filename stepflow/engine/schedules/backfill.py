"""
Backfill: the runs of a schedule's times that are past, begun by a bulk.

Times that have had their run are the same run, and counted as such.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

from stepflow.core.ids import new_run_id
from stepflow.core.schedules.rules import CatchUp, Overlap, read_overlap
from stepflow.core.schedules.state import LastRun
from stepflow.core.schedules.times import between, run_id_of
from stepflow.durations import number
from stepflow.engine.env import Env
from stepflow.engine.schedules.load import load
from stepflow.engine.spec import RunSpec
from stepflow.engine.steering.bulk import MOST_RATE, RATE, BulkInfo, delivery_of, info_of
from stepflow.engine.submit import submit
from stepflow.engine.versions import Versions
from stepflow.errors import InvalidOption, RunConflict, shown
from stepflow.store.calls import together
from stepflow.store.schedules.reads import load_last
from stepflow.store.steering.bulk import BACKFILL, BulkRecord, start_bulk
from stepflow.store.values.codec import pack, unpack

#: times that one backfill begins at most
MOST = 100_000


async def begin_backfill(
    schedule_id: str,
    start: float,
    end: float,
    env: Env,
    *,
    by: str,
    overlap: str = "buffer_all",
    rate: float = RATE,
) -> BulkInfo:
    """
    Begin the runs of all times of a schedule from *start* to *end* (unix seconds), oldest first.

    With *overlap* `buffer_all` each begins when the one before has ended, with `allow` they begin
    at *rate* a second. Raises ScheduleNotFound, InvalidOption.
    """
    policy = read_overlap(overlap, CatchUp.ALL)
    if policy not in (Overlap.BUFFER_ALL, Overlap.ALLOW):
        raise InvalidOption(f"backfill takes buffer_all or allow, not {policy}")
    if not 0 < (number(rate) or 0.0) <= MOST_RATE:
        raise InvalidOption(
            f"rate is {shown(rate)}; it must be above 0, at most {MOST_RATE:g} a second"
        )
    schedule, now = await load(schedule_id, env), env.clock.now()
    end = min(end, now)
    count = sum(1 for _ in islice(between(schedule.rules.times, start - 1, end), MOST + 1))
    if not 0 < count <= MOST:
        raise InvalidOption(
            f"schedule {schedule_id!r} has {count:,}{' or more' if count > MOST else ''} times in "
            f"between that are past; a backfill takes 1 to {MOST:,}"
        )
    options = {"start": start, "end": end, "is_one_by_one": policy is Overlap.BUFFER_ALL}
    record = BulkRecord(
        new_run_id(now, secrets.randbits(80)), BACKFILL, schedule_id, by, rate,
        options=pack(options, in_clear=True), created_at=now,
    )  # fmt: skip
    request = env.request_id()
    await start_bulk(
        env.keys, record, delivery_of(record, env), expected=None, request=request, now=now
    )
    return info_of(record)


async def select_times(record: BulkRecord, count: int, env: Env) -> list[tuple[str, float]]:
    """Give the next times of a backfill that are to be selected, as (run id, time)."""
    options = unpack(record.options)
    schedule = await load(record.where, env)
    after = float(record.scan) if record.scan != "0" else options["start"] - 1
    times = islice(between(schedule.rules.times, after, options["end"]), count)
    return [(run_id_of(record.where, nominal), nominal) for nominal in times]


async def waits_for(record: BulkRecord, before: str, env: Env) -> bool:
    """Whether the next time waits for the run *before* to end; "" for the first."""
    if not before or not unpack(record.options)["is_one_by_one"]:
        return False
    found: LastRun = await load_last(env.keys, before)
    return found is LastRun.LIVE


def in_one_go(record: BulkRecord, count: int) -> int:
    """Say how many runs may begin in one go."""
    return min(count, 1) if unpack(record.options)["is_one_by_one"] else count


async def begin_runs(record: BulkRecord, run_ids: Sequence[str], env: Env) -> list[str]:
    """Begin the runs of some times, and say of each what became of it."""
    schedule = await load(record.where, env)
    specs = [schedule.spec.run_of(_nominal_of(run_id)) for run_id in run_ids]
    chosen = await Versions().choose(specs, env)
    return await together([_begin(spec, env) for spec in chosen])


async def _begin(spec: RunSpec, env: Env) -> str:
    try:
        submitted = await submit(spec, env)
    except RunConflict:  # it ran with what the schedule said then
        return "changed"
    return "done" if submitted.created else "changed"


def _nominal_of(run_id: str) -> float:
    written = run_id.rpartition("-")[2]
    return datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
