"""
What moves a group on, one look at a time, by whichever worker or client comes to it.

Each look reads the record, does one thing, and writes how far it has come unless somebody else has
written meanwhile. So it is safe to repeat, and by many at once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace

from stepflow.core import probes
from stepflow.core.fanout.group import (
    GROUP_RUNNER,
    GroupState,
    end_state,
    member_run_id,
)
from stepflow.core.fanout.join import Verdict
from stepflow.core.ids import Delivery
from stepflow.core.run import Run, RunOutcome, RunState
from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.outbox import RUN_WEBHOOK, deliveries, pack_outcome
from stepflow.engine.retry import retry
from stepflow.errors import DataError, RunStateError, StepflowError
from stepflow.store.calls import Call, Part, batch_of, together
from stepflow.store.groups.moves import (
    NOT_NOW,
    REFUSED,
    advance_group,
    drop_due,
    hold,
    mend_member,
    note_asked,
    note_tried,
    submit_member,
)
from stepflow.store.groups.reads import failed_members, load_group, load_slice, to_be_asked
from stepflow.store.groups.record import GroupRecord, Member, read_members
from stepflow.store.hooks import ANYONE, HookJob
from stepflow.store.run_hash import CHOSEN
from stepflow.store.runs import load_run
from stepflow.store.values.codec import unpack
from stepflow.times import as_datetime

log = logging.getLogger("stepflow.group")

#: seconds that who works on a group has it to itself; then another one looks
HOLD_S = 5.0
#: members that one look cancels, or retries
_PAGE = 200


async def look(group_id: str, env: Env) -> bool:
    """Do the next thing for a group; True when there is more to do at once."""
    group = await load_group(env.keys, group_id)
    if group is None or group.state is GroupState.WRITING or group.state.is_end or group.damage:
        if group is not None and group.damage:
            log.error("group=%s stands still: its record cannot be read: %s", group_id,
                      "; ".join(map(str, group.damage)))  # fmt: skip
        await drop_due(env.keys, group_id)
        return False
    match group.state:
        case GroupState.SUBMITTING | GroupState.RUNNING:
            return await _go_on(group, env)
        case GroupState.RETRYING:
            return await _retry(group, env)
        case _:
            return await _stop(group, env)


async def _go_on(group: GroupRecord, env: Env) -> bool:
    """Settle the join if it can be, end the group if all has ended, else begin what has not."""
    counts, now = group.counts, env.clock.now()
    verdict = None
    if group.has_goal:
        is_late = 0 < group.deadline_at <= now
        verdict = group.goal.verdict(counts.succeeded, counts.bad, is_time_up=is_late)
    is_submitting = group.state is GroupState.SUBMITTING
    if verdict is not None and (counts.live or counts.unbegun):
        log.info("group=%s: join %s is %s; the rest is cancelled", group.id, group.join,
                 "met" if verdict is Verdict.MET else "not met")  # fmt: skip
        settled = replace(
            group, state=GroupState.STOPPING, has_goal=False, verdict=verdict,
            reason=_settled(group, verdict),
        )  # fmt: skip
        await _write(group, settled, env, due_at=now)
        return True
    if verdict is not None or (not is_submitting and not group.has_goal and not counts.live):
        return await _end(group, end_state(group.goal, counts, verdict or group.verdict), env)
    if is_submitting:
        return await _begin_slice(group, env)
    return await _rest(group, group, env, due_at=group.deadline_at)


def _settled(group: GroupRecord, verdict: Verdict) -> str:
    how = "is met" if verdict is Verdict.MET else "can no longer be met"
    return f"join {group.join} of group {group.id} {how}"


async def _begin_slice(group: GroupRecord, env: Env) -> bool:
    """Begin the members of the next slice."""
    await hold(env.keys, group.id, env.clock.now() + HOLD_S)
    packed = await load_slice(env.keys, group.id, "specs", group.submitted)
    try:
        first, members = read_members(packed or b"")
    except (StepflowError, TypeError, ValueError) as problem:
        again = await load_group(env.keys, group.id)
        if again is not None and again.rev == group.rev:
            log.error(
                "group=%s stands still: slice %s of what its members begin with is lost (%s); "
                "cancel it", group.id, group.submitted, problem,
            )  # fmt: skip
            await drop_due(env.keys, group.id)
            return False
        return True
    calls = [_begun(group.id, first + at, member, env) for at, member in enumerate(members)]
    answers = await batch_of(calls)
    for member, answer in zip(members, answers, strict=True):
        if answer == REFUSED:
            log.error(
                "group=%s: member %s does not begin, for its run id has a run with another runner "
                "or input", group.id, member.key,
            )  # fmt: skip
    if NOT_NOW in answers:
        return True
    probes.at("group.submitted")
    further = replace(group, submitted=group.submitted + 1)
    if further.submitted < group.slices:
        await _write(group, further, env, due_at=env.clock.now() + HOLD_S)
        return True
    log.info("group=%s: all of its %s members have begun", group.id, group.counts.total)
    further = replace(further, state=GroupState.RUNNING)
    return await _rest(group, further, env, due_at=group.deadline_at)


def _begun(group_id: str, index: int, member: Member, env: Env) -> Call[int]:
    """Make the call that begins a member."""
    now = env.clock.now()
    run = Run(
        member_run_id(group_id, member.key), member.runner, member.queue, member.priority,
        digest=member.run_digest, created_at=now,
        deadline_at=now + member.timeout_s if member.timeout_s else 0.0, version=member.version,
        group=group_id, **{name: value for name, value in member.chosen.items() if name in CHOSEN},
    )  # fmt: skip
    if member.due_at > now:
        run.due_at, run.state = member.due_at, RunState.SCHEDULED
    run.delivery = env.keys.rq_id(Delivery(run.id, 0, 0))
    data: list[Part] = ["payload", member.payload]
    data += ("spec", member.options) if member.options else ()
    return submit_member(
        env.keys, run, index, request=env.request_id(), data=data, tags=member.tags
    )


async def _stop(group: GroupRecord, env: Env) -> bool:
    """Cancel the next page of members that have not ended; end the group when all have."""
    page = await to_be_asked(env.keys, group.id, _PAGE)
    if not page:
        if group.counts.live:
            return await _rest(group, group, env)
        state = (
            GroupState.CANCELLED if group.state is GroupState.CANCELLING
            else end_state(group.goal, group.counts, group.verdict)
        )  # fmt: skip
        return await _end(group, state, env)
    await hold(env.keys, group.id, env.clock.now() + HOLD_S)
    ids = [run_id for run_id, _ in page]
    by = group.by or f"group {group.id}"
    stopped = await together([cancel(run_id, group.reason, env, by=by) for run_id in ids])
    probes.at("group.stopped")
    now = env.clock.now()
    over = [run_id for run_id, is_ending in zip(ids, stopped, strict=True) if not is_ending]
    await batch_of([mend_member(env.keys, group.id, run_id, now=now) for run_id in over])
    await note_asked(env.keys, group.id, ids)
    return True


async def _retry(group: GroupRecord, env: Env) -> bool:
    """Retry the next page of members that failed before this wave of retries."""
    page = await failed_members(env.keys, group.id, _PAGE, before=group.wave)
    if not page:
        return await _rest(group, replace(group, state=GroupState.RUNNING), env)
    await hold(env.keys, group.id, env.clock.now() + HOLD_S)
    answers = await together([_retry_one(group.id, run_id, env) for run_id in page])
    probes.at("group.retried")
    left = [run_id for run_id, done in zip(page, answers, strict=True) if not done]
    if left:
        await note_tried(env.keys, group.id, left, group.wave)
    return True


async def _retry_one(group_id: str, run_id: str, env: Env) -> bool:
    try:
        await retry(run_id, env)
    except (RunStateError, DataError) as problem:
        run = await load_run(env.keys, run_id)
        # one that lives by now was retried by whoever else moves the group
        level = logging.WARNING if run is None or run.is_finished else logging.DEBUG
        log.log(level, "group=%s run=%s is not retried: %s", group_id, run_id, problem)
        return False
    return True


async def _end(group: GroupRecord, state: GroupState, env: Env) -> bool:
    """Write the end of a group, with the deliveries of its hooks."""
    now = env.clock.now()
    ended = replace(group, state=state, has_goal=False, ends=group.ends + 1, ended_at=now)
    probes.at("group.ending")
    written = await advance_group(
        env.keys, replace(ended, rev=group.rev + 1), rev=group.rev, request=env.request_id(),
        now=now, ttl_s=env.settings.retention.result_s, hooks=_hooks(ended, env, now),
    )  # fmt: skip
    if written:
        log.info("group=%s has %s: %s", group.id, state, group.counts)
    return not written


def _hooks(group: GroupRecord, env: Env, now: float) -> list[HookJob]:
    """Make the deliveries of a group's webhooks that want to know of this end."""
    webhooks = unpack(group.webhooks) if group.webhooks else []
    status = group.state.value
    targets: Sequence[tuple[str, list[object]]] = [
        (ANYONE, [RUN_WEBHOOK, web]) for web in webhooks if status in web.get("events", (status,))
    ]
    if not targets:
        return []
    outcome = RunOutcome(
        group.id, GROUP_RUNNER, status, result=asdict(group.counts), reason=group.reason or None,
        end=group.ends, created_at=as_datetime(group.created_at), ended_at=as_datetime(now),
    )  # fmt: skip
    # no run's deliveries are called so: their ids end in three numbers
    stem = f"{group.id}----{group.ends}"
    return deliveries(group.id, stem, 0, targets, pack_outcome(outcome), env, now)


async def _rest(group: GroupRecord, further: GroupRecord, env: Env, *, due_at: float = 0.0) -> bool:
    """
    Leave a group alone until its members settle it, or until *due_at*, in unix seconds.

    True when it was not as it had been read, so that somebody is to look again at once.
    """
    return not await _write(group, further, env, due_at=due_at or None)


async def _write(
    group: GroupRecord, further: GroupRecord, env: Env, *, due_at: float | None
) -> bool:
    """Write *further* over *group*; False when that was not as it had been read."""
    rev = group.rev if further is group else group.rev + 1
    written: bool = await advance_group(
        env.keys, replace(further, rev=rev), rev=group.rev, request=env.request_id(),
        now=env.clock.now(), due_at=due_at,
    )  # fmt: skip
    return written
