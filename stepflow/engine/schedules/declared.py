"""
Schedules that code declares: a worker puts them at its start, and says so while it lives.

The newest version of the app wins: an older worker that starts again puts nothing back.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from re import findall

from stepflow.core.schedules.decide import stand
from stepflow.core.schedules.state import ScheduleState
from stepflow.engine.env import Env
from stepflow.engine.schedules.load import read
from stepflow.engine.schedules.spec import ScheduleSpec
from stepflow.engine.versions.builds import GONE_S, LIVE_S, announced
from stepflow.errors import StepflowError, UnreadableRecord
from stepflow.store.calls import together
from stepflow.store.schedules.moves import (
    forget_declared,
    put_due,
    save_declared,
    write_schedule,
)
from stepflow.store.schedules.reads import load_declared, load_schedule
from stepflow.store.schedules.record import ScheduleRecord
from stepflow.store.values.codec import pack, unpack

log = logging.getLogger("stepflow.schedule")

#: seconds after which a schedule that no live worker declares is deleted: 30 days
FORGET_S = 30 * 86400.0
#: what the time of a deploy begins with where it stands for a version
_DEPLOYED = "deployed "


@dataclass(frozen=True, slots=True)
class Declaration:
    """A schedule that code declares; *is_kept* says that it outlives the code."""

    spec: ScheduleSpec
    is_kept: bool = False


def is_older(version: str, than: str) -> bool:
    """
    Whether an app's version is older than another: their numbers are compared, one by one.

    A version that you gave is newer than the time of a deploy, which stands for one that you did
    not give.
    """
    if is_deploy(version) != is_deploy(than):
        return is_deploy(version)
    mine, other = (list(map(int, findall(r"\d+", each))) for each in (version, than))
    pairs = zip_longest(mine, other, fillvalue=0)
    return next((one < two for one, two in pairs if one != two), False)


def is_deploy(version: str) -> bool:
    """Whether a version is the time of a deploy, as `deployed_at` writes it."""
    return version.startswith(_DEPLOYED)


def deployed_at(moment: float) -> str:
    """Write the time of a deploy (unix seconds) as the version of an app."""
    return f"{_DEPLOYED}{moment:.0f}"


async def put_declared(
    worker: str, declared: Sequence[Declaration], version: str, env: Env
) -> None:
    """Put what the code of a worker declares, and say that *worker* does. Safe to repeat."""
    await save_declared(env.keys, worker, pack([each.spec.id for each in declared], in_clear=True))
    await together([_put(each, version, env) for each in declared])


async def _put(declaration: Declaration, version: str, env: Env) -> None:
    spec, request = declaration.spec, env.request_id()
    packed = spec.pack(env.settings.limits.payload_bytes)
    while True:
        there, now = await load_schedule(env.keys, spec.id), env.clock.now()
        if there is not None and there.app and is_older(version, there.app):
            if packed != there.spec:
                log.info(
                    "schedule=%s stays as version %s of the app declares it; this one is %s",
                    spec.id, there.app, version,
                )  # fmt: skip
            return
        record = _declared(declaration, packed, version, there, now)
        if record is None:
            if there is not None and there.due_at:
                await put_due(env.keys, spec.id, there.due_at)
            return
        rev = None if there is None else there.rev
        if await write_schedule(env.keys, record, rev=rev, queue=spec.queue, request=request):
            log.info("schedule=%s put: %s", spec.id, spec.rules.times.words)
            return


def _declared(
    declaration: Declaration, packed: bytes, version: str, there: ScheduleRecord | None, now: float
) -> ScheduleRecord | None:
    """Give the record to write; None when the one that is there says the same."""
    spec, is_kept = declaration.spec, declaration.is_kept
    if there is None:
        new = ScheduleRecord(
            spec.id, packed, ScheduleState(through=now), rev=1, app=version, is_kept=is_kept,
            created_at=now, updated_at=now, wakes=spec.rules.pause_on_failure,
        )  # fmt: skip
        decision = stand(spec.id, spec.rules, new.state, now)
        return replace(new, state=decision.state, due_at=decision.due_at or 0.0)
    is_same = (there.spec, there.app, there.is_kept) == (packed, version, is_kept)
    if is_same and not there.state.blocked_since and not there.damage:
        return None
    return put_over(there, spec, packed, now, app=version, is_kept=is_kept)


def put_over(
    there: ScheduleRecord, spec: ScheduleSpec, packed: bytes, now: float, *, app: str, is_kept: bool
) -> ScheduleRecord:
    """
    Give the record of a schedule that is put over one that is there.

    Pause and times of an operator stay. With other times the next one is reckoned from now.
    """
    state = replace(there.state, blocked_since=0.0)
    try:
        old = read(there)
        rules = replace(spec.rules, times=old.rules.times) if there.times else spec.rules
        is_changed = rules != old.rules
    except UnreadableRecord:
        rules, is_changed = spec.rules, True
    if is_changed:
        state = replace(state, through=max(state.through, now), ended_at=0.0)
    decision = stand(spec.id, rules, state, now)
    return replace(
        there, spec=packed, state=decision.state, rev=there.rev + 1, app=app, is_kept=is_kept,
        due_at=0.0 if state.pause else decision.due_at or 0.0, updated_at=now, damage=(),
        wakes=bool(state.buffer) or rules.pause_on_failure,
    )  # fmt: skip


async def declared_by_living(env: Env) -> set[str]:
    """Give the schedules that live workers declare; forgets what the dead declared."""
    kept = await load_declared(env.keys)
    if not kept:
        return set()
    ages = {one.worker: one.age_s for one in await announced(env)}
    said = {name.decode("utf-8", "replace"): _read(packed) for name, packed in kept.items()}
    gone = [worker for worker in said if ages.get(worker, GONE_S) >= GONE_S]
    if gone:
        await forget_declared(env.keys, gone)
    return {
        schedule
        for worker, declared in said.items()
        if ages.get(worker, GONE_S) < LIVE_S
        for schedule in declared
    }


def _read(packed: bytes) -> list[str]:
    """Read what a worker declares; nothing of what is not ours."""
    try:
        return [str(each) for each in unpack(packed)]
    except (StepflowError, TypeError):
        return []
