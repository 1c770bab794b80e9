"""What operators and programs do with schedules."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace

from stepflow.core.ids import check_count, new_run_id, page_of
from stepflow.core.outcomes import readable
from stepflow.core.schedules.decide import catch_up_after_pause, stand
from stepflow.core.schedules.rules import CatchUp, Overlap, check_schedule_id, read_overlap
from stepflow.core.schedules.state import (
    Decision,
    Firing,
    LastRun,
    SchedulePause,
    ScheduleState,
)
from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.schedules.declared import put_over
from stepflow.engine.schedules.info import (
    FiringInfo,
    NextTime,
    ScheduleInfo,
    firing_of,
    info_of,
    next_times,
)
from stepflow.engine.schedules.load import Schedule, last_run, load, read, write
from stepflow.engine.schedules.spec import ScheduleSpec
from stepflow.engine.submit import submit
from stepflow.engine.versions import Versions
from stepflow.errors import InvalidOption, StepflowError
from stepflow.store.calls import batch_of
from stepflow.store.schedules.moves import delete_schedule, write_schedule
from stepflow.store.schedules.reads import load_firings, load_schedule, schedule_ids
from stepflow.store.schedules.record import ScheduleRecord
from stepflow.store.values.codec import pack

#: characters of the note of a pause that are kept
_LONGEST_NOTE = 500


async def put(spec: ScheduleSpec, env: Env) -> ScheduleInfo:
    """
    Put a schedule, over one with the same id if there is one, whose pause stays.

    Of one that code declares only the times can be put: they count instead of the code's, until
    those are put again. Raises InvalidOption for anything else of it, and for times that are past.
    """
    packed, request = spec.pack(env.settings.limits.payload_bytes), env.request_id()
    while True:
        there, now = await load_schedule(env.keys, spec.id), env.clock.now()
        if spec.rules.next_after(now) is None:
            raise InvalidOption(f"schedule {spec.id!r} has no time after now")
        record = _put_record(spec, packed, there, now)
        rev = None if there is None else there.rev
        if await write_schedule(env.keys, record, rev=rev, queue=spec.queue, request=request):
            return info_of(read(record), now)


def _put_record(
    spec: ScheduleSpec, packed: bytes, there: ScheduleRecord | None, now: float
) -> ScheduleRecord:
    if there is not None and there.app:
        return _with_times(read(there), spec, now)
    if there is not None:
        return put_over(there, spec, packed, now, app="", is_kept=True)
    decision = stand(spec.id, spec.rules, ScheduleState(through=now), now)
    return ScheduleRecord(
        spec.id, packed, decision.state, due_at=decision.due_at or 0.0, created_at=now,
        updated_at=now, wakes=spec.rules.pause_on_failure,
    )  # fmt: skip


def _with_times(there: Schedule, spec: ScheduleSpec, now: float) -> ScheduleRecord:
    """Give the record of a declared schedule with the times of *spec* instead of the code's."""
    declared, times = there.spec, spec.rules.times
    if replace(spec, rules=replace(spec.rules, times=declared.rules.times)) != declared:
        raise InvalidOption(
            f"schedule {spec.id!r} is declared in code, which says all but its times; change the "
            "code, or put it under another id"
        )
    state = replace(there.state, through=max(there.state.through, now), ended_at=0.0)
    rules = replace(declared.rules, times=times)
    decision = stand(spec.id, rules, state, now)
    return replace(
        there.moved(replace(decision, state=decision.state), now),
        times=b"" if times == declared.rules.times else pack(times.as_dict(), in_clear=True),
        due_at=0.0 if state.pause else decision.due_at or 0.0,
    )


async def get(schedule_id: str, env: Env) -> ScheduleInfo:
    """Read a schedule; raises ScheduleNotFound, UnreadableRecord."""
    return info_of(await load(schedule_id, env), env.clock.now())


async def schedules(env: Env, *, limit: int, offset: int = 0) -> list[ScheduleInfo]:
    """Read some schedules, the one put first first; those that cannot be read are left out."""
    ids = await schedule_ids(env.keys, *page_of(limit, offset))
    records = await batch_of([load_schedule(env.keys, each) for each in ids])
    found = []
    for record in records:
        try:
            found += [] if record is None else [info_of(read(record), env.clock.now())]
        except StepflowError:
            continue
    return found


async def firings(schedule_id: str, env: Env) -> list[FiringInfo]:
    """Read the last times of a schedule, the newest first; raises ScheduleNotFound."""
    await load(schedule_id, env)
    return [firing_of(line) for line in await load_firings(env.keys, schedule_id)]


async def upcoming(schedule_id: str, env: Env, *, count: int) -> Sequence[NextTime]:
    """Give the next times of a schedule, whether or not it is paused; raises ScheduleNotFound."""
    schedule, now = await load(schedule_id, env), env.clock.now()
    most = check_count("count", count, most=10_000)
    return next_times(schedule.rules, max(now, schedule.state.through), most)


async def pause(schedule_id: str, note: str, by: str, env: Env) -> bool:
    """Pause a schedule; False when it was paused already. Raises ScheduleNotFound."""
    note = readable(note)[:_LONGEST_NOTE]

    def paused(schedule: Schedule, now: float) -> Decision | None:
        if schedule.state.pause is not None:
            return None
        return Decision(replace(schedule.state, pause=SchedulePause(by, note, now)))

    return await _move(schedule_id, paused, env)


async def resume(schedule_id: str, env: Env, *, catch_up: bool) -> bool:
    """
    Let a paused schedule go on; False when it was not paused. Raises ScheduleNotFound.

    With *catch_up* the times that came meanwhile are made up for, as its own policy says.
    """

    def resumed(schedule: Schedule, now: float) -> Decision | None:
        if schedule.state.pause is None:
            return None
        return catch_up_after_pause(
            schedule.id, schedule.rules, schedule.state, now, is_asked=catch_up
        )

    return await _move(schedule_id, resumed, env)


async def _move(
    schedule_id: str, change: Callable[[Schedule, float], Decision | None], env: Env
) -> bool:
    request = env.request_id()
    while True:
        schedule, now = await load(schedule_id, env), env.clock.now()
        decision = change(schedule, now)
        if decision is None:
            return False
        moved = schedule.moved(decision, now)
        if await write(schedule, moved, env, request=request, history=decision.history):
            return True


async def trigger(
    schedule_id: str, env: Env, versions: Versions, *, overlap: str = "allow"
) -> str | None:
    """
    Begin a run of a schedule now, whatever its times; gives the run's id.

    None when *overlap* is `skip` and the last run has not ended. With `cancel_other` that one is
    cancelled, and not waited for. Raises ScheduleNotFound, InvalidOption.
    """
    policy = read_overlap(overlap, CatchUp.NONE)
    if policy not in (Overlap.ALLOW, Overlap.SKIP, Overlap.CANCEL_OTHER):
        raise InvalidOption(f"trigger takes allow, skip or cancel_other, not {policy}")
    schedule, now = await load(schedule_id, env), env.clock.now()
    is_live = await last_run(schedule.state, env) is LastRun.LIVE
    if is_live and policy is Overlap.SKIP:
        return None
    if is_live and policy is Overlap.CANCEL_OTHER:
        await cancel(schedule.state.last_run, f"schedule {schedule_id} was triggered", env)
    run_id = f"{schedule_id}-manual-{new_run_id(now, secrets.randbits(80))}"
    [chosen] = await versions.choose([schedule.spec.run_of(now, run_id=run_id)], env)
    submitted = await submit(chosen, env)
    line, request = Firing(now, now, submitted.id), env.request_id()
    while not await write(
        schedule, replace(schedule.record, rev=schedule.record.rev + 1), env,
        request=request, history=[line],
    ):  # fmt: skip
        schedule = await load(schedule_id, env)
    return submitted.id


async def delete(schedule_id: str, env: Env) -> bool:
    """Delete a schedule; its runs stay. False when there is none."""
    deleted: bool = await delete_schedule(env.keys, check_schedule_id(schedule_id))
    return deleted
