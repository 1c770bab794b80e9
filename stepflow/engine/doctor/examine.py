"""examine: look at everything twice, mend what is asked for, and tell."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.engine.doctor.groups import BrokenGroup, broken_groups, mend_group
from stepflow.engine.doctor.limits import SENTENCES, OddLimit, mend_limit, odd_limits
from stepflow.engine.doctor.model import (
    BROKEN_GROUP,
    EXPIRES,
    LEFTOVER,
    LOST_SCHEDULE,
    Finding,
    Line,
    Report,
)
from stepflow.engine.doctor.repair import mend, mend_hook, mend_life, remove
from stepflow.engine.doctor.schedules import LostSchedule, lost_schedules, mend_schedule
from stepflow.engine.doctor.search import (
    Stray,
    broken_runs,
    gone,
    live_hooks,
    live_runs,
    lost_hooks,
    strays,
    suspects,
)
from stepflow.engine.doctor.server import look_at_server
from stepflow.engine.doctor.walk import Walk, WrongTtl, walk, wrong_ttls
from stepflow.engine.env import Env
from stepflow.engine.why.ask import LOOK_AGAIN_S
from stepflow.engine.why.model import Why
from stepflow.store.calls import Plan
from stepflow.store.hooks import HookRecord
from stepflow.store.query import server_time

#: seconds to wait, and the plan to carry out after that
Step = tuple[float, Plan[Any]]


@dataclass(slots=True)
class _Seen:
    """What one look found."""

    runs: int = 0
    hooks: int = 0
    members: int = 0
    broken: Sequence[Why] = ()
    lost: Sequence[HookRecord] = ()
    schedules: Sequence[LostSchedule] = ()
    groups: Sequence[BrokenGroup] = ()
    limits: Sequence[OddLimit] = ()
    strays: Sequence[Stray] = ()
    wrong: Sequence[WrongTtl] = ()
    lines: Sequence[Line] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        runs = self.broken, self.lost, self.strays, self.wrong
        return not any((*runs, self.schedules, self.limits, self.groups))


def examine(
    env: Env, run_ids: Sequence[str] = (), *, deep: bool = False, repair: bool = False
) -> Generator[Step, Any, Report]:
    """
    Examine everything, or only *run_ids*: yields what to wait and do, takes what came of that.

    What looks broken is looked at again after a second; only what has not moved counts. With *deep*
    every key of the server is gone through for runs that no list names.
    """
    began = time.monotonic()
    seen: _Seen = yield 0.0, _look(env, run_ids, deep=deep)
    findings: list[Finding] = []
    if not seen.is_well:
        sure: _Seen = yield LOOK_AGAIN_S, _look_again(seen, env)
        for why in sure.broken:
            is_mended = (yield 0.0, mend(why, env)) if repair else None
            findings.append(Finding(why.code, why.run_id, why.sentence, is_mended))
        for hook in sure.lost:
            is_mended = (yield 0.0, mend_hook(hook, env)) if repair else None
            text = f"a hook of run {hook.run_id} stands in no queue"
            findings.append(Finding("X10", hook.id, text, is_mended))
        for schedule in sure.schedules:
            is_mended = (yield 0.0, mend_schedule(schedule, env)) if repair else None
            text = "the schedule stands in no due set: nobody would come to it"
            findings.append(Finding(LOST_SCHEDULE, schedule.id, text, is_mended))
        for group in sure.groups:
            is_mended = (yield 0.0, mend_group(group, env)) if repair else None
            findings.append(Finding(BROKEN_GROUP, group.id, group.sentence, is_mended))
        for odd in sure.limits:
            is_mended = (yield 0.0, mend_limit(odd, env)) if repair else None
            findings.append(Finding(odd.code, odd.where, SENTENCES[odd.code], is_mended))
        for stray in sure.strays:
            is_mended = (yield 0.0, remove(stray, env)) if repair else None
            where = f"{stray.index} {stray.member}".strip()
            findings.append(Finding(LEFTOVER, where, "its record is gone", is_mended))
        for wrong in sure.wrong:
            is_mended = (yield 0.0, mend_life(wrong, env)) if repair else None
            findings.append(_of_life(wrong, is_mended=is_mended))
    took_s = time.monotonic() - began
    return Report(seen.lines, findings, seen.runs, seen.hooks, seen.members, took_s)


def _of_life(wrong: WrongTtl, *, is_mended: bool | None) -> Finding:
    if wrong.ended:
        text = "it has ended, and some of its keys live for ever"
        return Finding(LEFTOVER, wrong.run_id, text, is_mended)
    text = "it lives, and some of its keys have a time to live: they would be gone some day"
    return Finding(EXPIRES, wrong.run_id, text, is_mended)


async def _look(env: Env, run_ids: Sequence[str], *, deep: bool) -> _Seen:
    env.clock.learn(await server_time())
    if run_ids:
        return _Seen(len(run_ids), broken=await broken_runs(run_ids, env))
    lines = await look_at_server(env)
    runs = await live_runs(env)
    closely = await suspects(runs, env)
    walked = await walk(env) if deep else Walk()
    closely += walked.unlisted
    hooks = await live_hooks(env)
    left, members = await strays(env)
    return _Seen(
        len(runs), len(hooks), members, await broken_runs(closely, env),
        await lost_hooks(hooks, env), await lost_schedules(env), await broken_groups(env),
        await odd_limits(env),
        [*left, *walked.strays], walked.wrong, lines,
    )  # fmt: skip


async def _look_again(seen: _Seen, env: Env) -> _Seen:
    """Look once more at what looked broken; gives what has not moved and still does."""
    marks = {(why.run_id, why.code, why.evidence.get("rev")) for why in seen.broken}
    broken = await broken_runs([why.run_id for why in seen.broken], env)
    revs = {hook.id: hook.rev for hook in seen.lost}
    lost = await lost_hooks([hook.id for hook in seen.lost], env)
    return _Seen(
        broken=[why for why in broken if (why.run_id, why.code, why.evidence.get("rev")) in marks],
        lost=[hook for hook in lost if hook.rev == revs[hook.id]],
        schedules=[each for each in await lost_schedules(env) if each in seen.schedules]
        if seen.schedules
        else (),
        groups=[each for each in await broken_groups(env) if each in seen.groups]
        if seen.groups
        else (),
        limits=[odd for odd in await odd_limits(env) if odd in seen.limits] if seen.limits else (),
        strays=await gone(seen.strays),
        wrong=await wrong_ttls({one.run_id: one.keys for one in seen.wrong}, env),
    )
