"""What callers see of a schedule: where it stands, what its times were, when the next ones are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from itertools import islice

from stepflow.core.schedules.cron import zone_of
from stepflow.core.schedules.rules import Rules
from stepflow.core.schedules.state import Firing
from stepflow.engine.schedules.load import Schedule
from stepflow.times import as_datetime


class ScheduleState(StrEnum):
    """Where a schedule stands; the first that holds."""

    #: it has no further times
    ENDED = "ended"
    PAUSED = "paused"
    #: no live worker declares it any more
    BLOCKED = "blocked"
    #: a time waits for the end of the run before it
    BUFFERED = "buffered"
    ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """
    A schedule: what it runs when, and where it stands. Times are aware datetimes, or None.

    *when* says its times in words, *tz* in which time zone; *declared* says when its code says,
    where an operator has set other times. *app_version* is the version of the app whose code
    declares it, None for a schedule that was put by a call. *runs* counts the runs that it began,
    *buffered* the times that wait for the end of *last_run*. *note* says why it is paused.
    """

    id: str
    runner: str
    state: ScheduleState
    when: str
    tz: str
    next_at: datetime | None
    overlap: str
    catch_up: str
    queue: str
    last_run: str | None
    last_scheduled_for: datetime | None
    runs: int
    buffered: int
    note: str | None
    paused_by: str | None
    paused_at: datetime | None
    blocked_since: datetime | None
    declared: str | None
    app_version: str | None
    created_at: datetime | None
    updated_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class FiringInfo:
    """
    A time of a schedule that is past: its run, or why it has none.

    *left_out* is `overlap`, `missed`, `paused`, `blocked` or `buffer full`; *count* times in a row,
    the last of them *scheduled_for*, may share a line.
    """

    scheduled_for: datetime
    at: datetime
    run_id: str | None
    left_out: str | None
    count: int


@dataclass(frozen=True, slots=True)
class NextTime:
    """A time to come, in the schedule's own time zone, and what the clock does there that day."""

    at: datetime
    note: str


def info_of(schedule: Schedule, now: float) -> ScheduleInfo:
    """Turn a schedule into what callers see."""
    record, state, rules, spec = schedule.record, schedule.state, schedule.rules, schedule.spec
    word, pause = _word(schedule), state.pause
    stands = word in (ScheduleState.PAUSED, ScheduleState.ENDED)
    following = None if stands else rules.next_after(max(state.through, now))
    return ScheduleInfo(
        record.id, spec.runner, word, rules.times.words, rules.times.tz,
        None if following is None else as_datetime(following), str(rules.overlap),
        str(rules.catch_up), spec.queue, state.last_run or None, as_datetime(state.last_nominal),
        state.runs, len(state.buffer), pause.note if pause else None, pause.by if pause else None,
        as_datetime(pause.at) if pause else None, as_datetime(state.blocked_since),
        spec.rules.times.words if record.times else None, record.app or None,
        as_datetime(record.created_at), as_datetime(record.updated_at), as_datetime(state.ended_at),
    )  # fmt: skip


def firing_of(firing: Firing) -> FiringInfo:
    """Turn a line of the history into what callers see."""
    nominal, at = (datetime.fromtimestamp(moment, UTC) for moment in (firing.nominal, firing.at))
    return FiringInfo(nominal, at, firing.run_id or None, firing.left or None, firing.count)


def next_times(rules: Rules, after: float, count: int) -> Sequence[NextTime]:
    """Give the next times after *after* (unix seconds)."""
    zone = zone_of(rules.times.tz)
    return [
        NextTime(datetime.fromtimestamp(moment, zone), _clock_note(moment, zone))
        for moment in islice(_within(rules, after), count)
    ]


def _within(rules: Rules, after: float) -> Iterator[float]:
    for moment in rules.times.walk(after):
        if rules.until and moment > rules.until:
            return
        yield moment


def _word(schedule: Schedule) -> ScheduleState:
    state = schedule.state
    if state.ended_at:
        return ScheduleState.ENDED
    if state.pause is not None:
        return ScheduleState.PAUSED
    if state.blocked_since:
        return ScheduleState.BLOCKED
    return ScheduleState.BUFFERED if state.buffer else ScheduleState.ACTIVE


def _clock_note(moment: float, zone: tzinfo) -> str:
    """Say what the clock does in *zone* on the day of *moment*; empty on most days."""
    at = datetime.fromtimestamp(moment, zone)
    first = at.replace(hour=0, minute=0, second=0)
    before, after = first.utcoffset(), (first + timedelta(days=1)).utcoffset()
    if before is None or after is None or before == after:
        return ""
    minutes = abs(after - before).total_seconds() / 60
    return f"the clock goes {'forward' if after > before else 'back'} by {minutes:g} min that day"
