"""Calls that write schedules: put, moved on, fired, deleted; and those that a worker declares."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.ids import schedule_member
from stepflow.core.run import Run
from stepflow.core.schedules.state import Firing, LastRun
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, nothing
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.run_hash import format_time
from stepflow.store.runs.submit import submission
from stepflow.store.schedules.record import ScheduleRecord, write_firing

#: answers: written; the schedule or its last run is not as the caller saw it; written, the run was
#: there before
WRITTEN, STALE, RUN_THERE = 1, 0, 2


def write_schedule(
    keys: Keys,
    record: ScheduleRecord,
    *,
    rev: int | None,
    queue: str,
    request: str,
    last: LastRun | None = None,
    last_run: str = "",
    history: Sequence[Firing] = (),
) -> Call[bool]:
    """
    Write *record* over the one at *rev*, None for none; False when it is not as the caller saw it.

    With *last* the run *last_run* must stand as it says. An idle worker of *queue* is told of a
    schedule that is the first one due.
    """
    base = keys.schedule(record.id)
    return scripts.WRITE_SCHEDULE.call(
        bool,
        keys={
            "schedule": base, "history": f"{base}:history", "schedules": keys.schedules,
            "due": keys.due, "last": keys.run(last_run), "wake": keys.wake_of(queue),
            "rq_queues": RQ_QUEUES,
        },
        args={
            "rev": "" if rev is None else rev, "request": request, "live": _live(last),
            "member": schedule_member(record.id), "schedule_id": record.id,
            "due_at": format_time(record.due_at),
            "put_at": format_time(record.created_at) if rev is None else "",
            "list": keys.rq_list(keys.queue_name(queue)),
        },
        lists={"fields": _fields(record, request), "lines": [*map(write_firing, history)]},
    )  # fmt: skip


def fire_schedule(
    keys: Keys,
    record: ScheduleRecord,
    run: Run,
    *,
    rev: int,
    request: str,
    data: Sequence[Part],
    last: LastRun,
    last_run: str,
    history: Sequence[Firing],
) -> Call[int]:
    """
    Make *run* and write *record* over the one at *rev*, in one write.

    Gives WRITTEN, RUN_THERE, or STALE when the schedule or its last run is not as the caller saw
    it.
    """
    made, base = submission(keys, run, request=request, data=data), keys.schedule(record.id)
    return scripts.FIRE_SCHEDULE.call(
        int,
        keys={
            **made.keys, "schedule": base, "history": f"{base}:history", "last": keys.run(last_run),
        },
        args={
            **made.args, "schedule_rev": rev, "schedule_live": _live(last),
            "schedule_member": schedule_member(record.id),
            "schedule_due": format_time(record.due_at),
        },
        lists={
            **made.lists, "schedule_fields": _fields(record, request),
            "lines": [*map(write_firing, history)],
        },
        key_lists=made.key_lists,
    )  # fmt: skip


def delete_schedule(keys: Keys, schedule_id: str, *, rev: int | None = None) -> Call[bool]:
    """Delete a schedule; False when there is none, or it is not at *rev* any more."""
    base = keys.schedule(schedule_id)
    return scripts.DELETE_SCHEDULE.call(
        bool,
        keys={
            "schedule": base, "history": f"{base}:history", "schedules": keys.schedules,
            "due": keys.due,
        },
        args={
            "rev": "" if rev is None else rev, "member": schedule_member(schedule_id),
            "schedule_id": schedule_id,
        },
    )  # fmt: skip


def save_declared(keys: Keys, worker: str, packed: bytes) -> Call[None]:
    """Write which schedules the code of a worker declares."""
    return command("HSET", keys.declared, worker, packed, read=nothing, misfit=lambda: None)


def forget_declared(keys: Keys, workers: Sequence[str]) -> Call[None]:
    """Forget what workers that are gone declared."""
    return command("HDEL", keys.declared, *workers, read=nothing, misfit=lambda: None)


def drop_due(keys: Keys, schedule_id: str) -> Call[None]:
    """Take a schedule that cannot be read, or is gone, out of the due set."""
    return command("ZREM", keys.due, schedule_member(schedule_id), read=nothing)


def put_due(keys: Keys, schedule_id: str, due_at: float) -> Call[bool]:
    """Put a schedule back into the due set; False when it stands there."""
    member = schedule_member(schedule_id)
    return command("ZADD", keys.due, "NX", format_time(due_at), member, read=bool)


def _live(last: LastRun | None) -> str:
    return "" if last is None else "1" if last is LastRun.LIVE else "0"


def _fields(record: ScheduleRecord, request: str) -> list[Part]:
    return [*record.fields(), "request", request]
