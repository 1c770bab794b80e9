"""Why a schedule begins no run right now, in one sentence, and what moves it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stepflow.engine.env import Env
from stepflow.engine.schedules.info import ScheduleInfo, ScheduleState, info_of
from stepflow.engine.schedules.load import load
from stepflow.engine.why.words import in_a_line
from stepflow.shell import to_type
from stepflow.store.schedules.reads import due_of
from stepflow.times import in_words


@dataclass(frozen=True, slots=True)
class ScheduleWhy:
    """Where a schedule stands, why, until when, and the commands that move it on."""

    schedule: str
    state: ScheduleState
    sentence: str
    until: datetime | None
    commands: Sequence[str]


async def explain(schedule_id: str, env: Env) -> ScheduleWhy:
    """Explain a schedule; raises ScheduleNotFound."""
    schedule, due_at = await load(schedule_id, env), await due_of(env.keys, schedule_id)
    seen = info_of(schedule, env.clock.now())
    sentence, commands = _words(seen, is_lost=due_at is None and schedule.record.due_at > 0)
    return ScheduleWhy(schedule_id, seen.state, in_a_line(sentence), seen.next_at, commands)


def _words(seen: ScheduleInfo, *, is_lost: bool) -> tuple[str, Sequence[str]]:
    verb = "stepflow schedules"
    match seen.state:
        case ScheduleState.ENDED:
            return "it has no further times", (f"{verb} put {seen.id} ...",)
        case ScheduleState.PAUSED:
            note = f": {seen.note}" if seen.note else ""
            return f"{seen.paused_by} paused it{note}", (f"{verb} resume {seen.id}",)
        case ScheduleState.BLOCKED:
            since = in_words(seen.blocked_since.timestamp()) if seen.blocked_since else "some time"
            sentence = f"no live worker declares it since {since}"
            return sentence, ("stepflow worker", f"{verb} delete {seen.id}")
        case ScheduleState.BUFFERED:
            many = "1 time waits" if seen.buffered == 1 else f"{seen.buffered} times wait"
            last = seen.last_run or ""
            sentence = f"{many} for the end of run {last}"
            return sentence, (to_type("why", last), to_type("cancel", last))
    if is_lost:
        return "it stands in no due set: nobody would come to it (X11)", (
            "stepflow doctor --repair",
        )
    return "it waits for its next time", (f"{verb} trigger {seen.id}",)
