"""Schedules that nobody would come to: they stand in no due set, though they have times to come."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from stepflow.core.schedules.state import LastRun
from stepflow.engine.env import Env
from stepflow.engine.schedules.load import last_run
from stepflow.store.calls import batch_of, together
from stepflow.store.schedules.moves import put_due
from stepflow.store.schedules.reads import due_of, load_schedule, schedule_ids
from stepflow.store.schedules.record import ScheduleRecord

log = logging.getLogger("stepflow.schedule")

#: schedules in one round trip
_PAGE = 500


@dataclass(frozen=True, slots=True)
class LostSchedule:
    """A schedule that stands in no due set, and when somebody should look at it."""

    id: str
    rev: int
    due_at: float


async def lost_schedules(env: Env) -> list[LostSchedule]:
    """Give the schedules that have times to come and stand in no due set."""
    found: list[LostSchedule] = []
    first = 0
    while ids := await schedule_ids(env.keys, first, _PAGE):
        first += len(ids)
        records = await batch_of([load_schedule(env.keys, each) for each in ids])
        scores = await batch_of([due_of(env.keys, each) for each in ids])
        missing = [
            record
            for record, score in zip(records, scores, strict=True)
            if record is not None and score is None and not record.damage
        ]
        expected = await together([_expected(record, env) for record in missing])
        found += [
            LostSchedule(record.id, record.rev, due_at)
            for record, due_at in zip(missing, expected, strict=True)
            if due_at
        ]
    return found


async def _expected(record: ScheduleRecord, env: Env) -> float:
    """Say when a schedule should be looked at, in unix seconds; 0 for one that may stand."""
    if record.state.pause is not None or record.state.ended_at:
        return 0.0
    if record.state.buffer and await last_run(record.state, env) is not LastRun.LIVE:
        return env.clock.now()
    return record.due_at


async def mend_schedule(lost: LostSchedule, env: Env) -> bool:
    """Put a schedule back into the due set; False when it stands there by now."""
    is_mended: bool = await put_due(env.keys, lost.id, lost.due_at)
    if is_mended:
        log.warning("schedule=%s stood in no due set; put back", lost.id)
    return is_mended
