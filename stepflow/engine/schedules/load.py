"""A schedule as verbs see it: its record, read, and written again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from stepflow.core.schedules.rules import Rules
from stepflow.core.schedules.state import Decision, Firing, LastRun, ScheduleState
from stepflow.core.schedules.times import read_times
from stepflow.engine.env import Env
from stepflow.engine.schedules.spec import ScheduleSpec, read_spec
from stepflow.errors import ScheduleNotFound, StepflowError, UnreadableRecord
from stepflow.store.calls import Call
from stepflow.store.schedules.moves import write_schedule
from stepflow.store.schedules.reads import load_last, load_schedule
from stepflow.store.schedules.record import ScheduleRecord
from stepflow.store.values.codec import unpack


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule: its record, what it was put as, and the rules that count."""

    record: ScheduleRecord
    spec: ScheduleSpec
    #: those of the spec, with the times that an operator set
    rules: Rules

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def state(self) -> ScheduleState:
        return self.record.state

    def moved(self, decision: Decision, now: float) -> ScheduleRecord:
        """Give its record as it is after *decision*."""
        state = decision.state
        return replace(
            self.record, state=state, rev=self.record.rev + 1, updated_at=now,
            due_at=decision.due_at or 0.0,
            wakes=bool(state.buffer) or self.rules.pause_on_failure,
        )  # fmt: skip


def read(record: ScheduleRecord) -> Schedule:
    """Read a record; raises UnreadableRecord for one that cannot be."""
    problems = [str(each) for each in record.damage]
    try:
        spec = read_spec(record.id, record.spec)
        rules = spec.rules
        if record.times:
            rules = replace(rules, times=read_times(unpack(record.times)))
    except StepflowError as error:
        raise UnreadableRecord(f"schedule {record.id!r}", str(error)) from error
    if problems:
        raise UnreadableRecord(f"schedule {record.id!r}", "; ".join(problems))
    return Schedule(record, spec, rules)


async def load(schedule_id: str, env: Env) -> Schedule:
    """Read a schedule; raises ScheduleNotFound, UnreadableRecord."""
    record = await load_schedule(env.keys, schedule_id)
    if record is None:
        raise ScheduleNotFound(schedule_id)
    return read(record)


async def last_run(state: ScheduleState, env: Env) -> LastRun:
    """Say how the last run of a schedule stands."""
    if not state.last_run:
        return LastRun.GONE
    found: LastRun = await load_last(env.keys, state.last_run)
    return found


def write(
    schedule: Schedule,
    record: ScheduleRecord,
    env: Env,
    *,
    request: str,
    last: LastRun | None = None,
    history: Sequence[Firing] = (),
) -> Call[bool]:
    """Write *record* over that of *schedule*; see `write_schedule`."""
    return write_schedule(
        env.keys, record, rev=schedule.record.rev, queue=schedule.spec.queue, request=request,
        last=last, last_run=schedule.state.last_run, history=history,
    )  # fmt: skip
