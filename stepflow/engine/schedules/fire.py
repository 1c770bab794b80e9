"""
fire: the time of a schedule has come, and a worker begins its run, or writes down why not.

Whoever comes second finds another `rev` and decides again, which changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from stepflow.core.schedules.decide import decide_firing
from stepflow.core.schedules.state import Decision, Firing, LastRun
from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.schedules.declared import FORGET_S, declared_by_living
from stepflow.engine.schedules.load import Schedule, last_run, read, write
from stepflow.engine.submit import prepare
from stepflow.engine.versions import Versions
from stepflow.errors import UndecryptableValue, UnreadableRecord
from stepflow.store.schedules.moves import STALE, delete_schedule, drop_due, fire_schedule
from stepflow.store.schedules.reads import load_schedule
from stepflow.times import in_words

log = logging.getLogger("stepflow.schedule")

#: runs that one look at a schedule begins at most; the next look goes on
_MOST_RUNS = 100


async def fire(
    schedule_id: str,
    env: Env,
    versions: Versions,
    *,
    declares: Callable[[str], bool],
    on_left_out: Callable[[str, str, int], None] | None = None,
) -> None:
    """
    Begin what is due of a schedule.

    *declares* says whether the code at hand declares a schedule; *on_left_out* is told of times
    that have no run: the schedule, why, how many. Safe to repeat, and by many at once.
    """
    for _ in range(_MOST_RUNS):
        record = await load_schedule(env.keys, schedule_id)
        if record is None:
            await drop_due(env.keys, schedule_id)
            return
        try:
            schedule = read(record)
        except UnreadableRecord as problem:
            if isinstance(problem.__cause__, UndecryptableValue):
                log.error("schedule=%s is left to workers with its key: %s", schedule_id, problem)
                return
            log.error("schedule=%s does not fire until it is put again: %s", schedule_id, problem)
            await drop_due(env.keys, schedule_id)
            return
        due_at, past = await _fire_once(schedule, env, versions, declares)
        for firing in past:
            if firing.left and on_left_out is not None:
                on_left_out(schedule_id, firing.left, firing.count)
        if due_at is None or due_at > env.clock.now():
            return


async def prepare_to_fire(schedule_id: str, env: Env) -> None:
    """Read a schedule and see when it is due next, so that all it takes is in memory; no writes."""
    record = await load_schedule(env.keys, schedule_id)
    if record is None:
        return
    with suppress(UnreadableRecord):  # whoever fires it says so
        schedule = read(record)
        last = await last_run(schedule.state, env)
        decide_firing(
            schedule.id, schedule.rules, schedule.state, last=last, now=env.clock.now(),
            is_declared=True,
        )  # fmt: skip


async def _fire_once(
    schedule: Schedule, env: Env, versions: Versions, declares: Callable[[str], bool]
) -> tuple[float | None, Sequence[Firing]]:
    """Decide once, and write that; gives when to look again, 0 for at once, and what is past."""
    last, now = await last_run(schedule.state, env), env.clock.now()
    is_declared = (
        schedule.record.is_kept
        or declares(schedule.id)
        or schedule.id in await declared_by_living(env)
    )
    decision = decide_firing(
        schedule.id, schedule.rules, schedule.state, last=last, now=now, is_declared=is_declared
    )
    since = decision.state.blocked_since
    if since and now - since > FORGET_S:
        log.warning(
            "schedule=%s is deleted: no live worker has declared it for 30 days", schedule.id
        )
        await delete_schedule(env.keys, schedule.id, rev=schedule.record.rev)
        return 0.0, ()
    if decision.cancel:
        await cancel(decision.cancel, f"schedule {schedule.id} begins its next run", env)
    if not await _carry_out(schedule, decision, last, env, versions):
        return 0.0, ()
    _say(schedule, decision)
    return decision.due_at, decision.history


async def _carry_out(
    schedule: Schedule, decision: Decision, last: LastRun, env: Env, versions: Versions
) -> bool:
    """Write a decision; False when the schedule or its last run has moved meanwhile."""
    moved = schedule.moved(decision, env.clock.now())
    if decision.run_for is None:
        request = env.request_id()
        written: bool = await write(
            schedule, moved, env, request=request, last=last, history=decision.history
        )
        return written
    [spec] = await versions.choose([schedule.spec.run_of(decision.run_for)], env)
    made = prepare(spec, env)
    answer = await fire_schedule(
        env.keys, moved, made.run, rev=schedule.record.rev, request=made.request, data=made.data,
        last=last, last_run=schedule.state.last_run, history=decision.history,
    )  # fmt: skip
    return answer != STALE


def _say(schedule: Schedule, decision: Decision) -> None:
    """Log what became of the schedule; what was left out by its name and with why."""
    for firing in decision.history:
        if firing.left:
            log.warning(
                "schedule=%s %s: %s, up to %s", schedule.id, firing.left,
                "1 time has no run" if firing.count == 1 else f"{firing.count} times have no run",
                in_words(firing.nominal),
            )  # fmt: skip
        else:
            log.info(
                "schedule=%s began run=%s, %.3f s late", schedule.id, firing.run_id,
                firing.at - firing.nominal,
            )  # fmt: skip
    if decision.state.pause is not None:
        log.warning("schedule=%s is paused: %s", schedule.id, decision.state.pause.note)
    elif decision.state.ended_at:
        log.info("schedule=%s has ended: it has no further times", schedule.id)
