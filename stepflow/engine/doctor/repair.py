"""Mends what `why` calls broken: each repair counts only where the run has not moved since."""

from __future__ import annotations

import logging

from stepflow.core.ids import run_member
from stepflow.core.outcomes import HandBack, Lost
from stepflow.core.run import Run, RunState, StopKind, StopRequest
from stepflow.engine.cancel import stop_run
from stepflow.engine.children import tell_of_gone
from stepflow.engine.doctor.search import Stray
from stepflow.engine.doctor.walk import WrongTtl
from stepflow.engine.env import Env
from stepflow.engine.recovery.again import hand_over_again
from stepflow.engine.why.model import Why
from stepflow.store.evidence.whole import list_child, mend_ttl, put_back, take_out
from stepflow.store.hooks import HookRecord, load_hook, requeue_hook
from stepflow.store.keys import LIVE
from stepflow.store.run_hash import format_time
from stepflow.store.runs import STALE, Fence, hand_over, load_run

log = logging.getLogger("stepflow.doctor")


async def mend(why: Why, env: Env) -> bool:
    """Mend a broken run; False when it has moved since, or was mended meanwhile."""
    if why.code == "X10":
        return await _mend_hooks(why, env)
    run = await load_run(env.keys, why.run_id)
    if run is None or run.rev != why.evidence.get("rev") or run.is_finished:
        return False
    is_mended = await _mend(why, run, env)
    if is_mended:
        log.warning("run=%s mended (%s): %s", run.id, why.code, why.sentence)
    return is_mended


async def _mend(why: Why, run: Run, env: Env) -> bool:
    keys = env.keys
    match why.code:
        case "X1":
            lapsed = format_time(env.clock.now())
            return await hand_over_again(run.id, Lost(), lapsed, env, rev=run.rev)
        case "X2" | "X3" | "X20":
            return await hand_over_again(run.id, HandBack(), "", env, rev=run.rev)
        case "X4":
            due_at = run.due_at or env.clock.now()
            return await put_back(keys, run, keys.due, run_member(run.id), due_at)
        case "X5":
            return await _wake(run, env)
        case "X6":
            return await _tell_of_gone(why, run, env)
        case "X7":
            return await _give_turn(why, run, env)
        case "X8":
            of_runner = keys.runner_index(LIVE, run.runner)
            await put_back(keys, run, of_runner, run.id, run.created_at)
            return await put_back(keys, run, keys.live, run.id, run.created_at)
        case "X9":
            return await put_back(keys, run, keys.deadlines, run.id, run.deadline_at)
    return False


async def _wake(run: Run, env: Env) -> bool:
    """Hand a parked run over: it looks for itself what has come."""
    answer = await hand_over(
        env.keys, run, Fence("", env.request_id()), state=RunState.PENDING, step=run.step,
        failures=run.failures, crashes=run.crashes, due_at=None, now=env.clock.now(),
    )  # fmt: skip
    return answer[0] != STALE


async def _tell_of_gone(why: Why, run: Run, env: Env) -> bool:
    """Tell a run that a child has failed whose record is gone; one left to itself as well."""
    is_told = False
    for child in why.evidence["children"]:
        await list_child(env.keys, run, child)
        is_told = await tell_of_gone(run.id, child, env) or is_told
    return is_told


async def _give_turn(why: Why, run: Run, env: Env) -> bool:
    """Let a child of a map begin whose turn was passed over; end it where the parent is gone."""
    parent_id = str(why.evidence["parent"])
    parent = await load_run(env.keys, parent_id)
    if parent is not None and not parent.is_finished:
        return await _wake(run, env)
    reason = f"its parent {parent_id!r} is gone" if parent is None else f"{parent_id!r} has ended"
    return await stop_run(run.id, StopRequest(StopKind.CANCEL, reason, env.clock.now()), env)


async def _mend_hooks(why: Why, env: Env) -> bool:
    is_mended = False
    for hook_id in why.evidence["hooks"]:
        hook = await load_hook(env.keys, hook_id)
        if hook is not None:
            is_mended = await mend_hook(hook, env) or is_mended
    return is_mended


async def mend_hook(hook: HookRecord, env: Env) -> bool:
    """Put a hook that stands nowhere back into its queue; False when it has moved since."""
    is_mended = bool(await requeue_hook(env.keys, hook, now=env.clock.now()))
    if is_mended:
        log.warning("hook=%s of run=%s stood nowhere; queued again", hook.id, hook.run_id)
    return is_mended


async def mend_life(wrong: WrongTtl, env: Env) -> bool:
    """Give the keys of a run the time to live that goes with its record; False when it moved."""
    run = await load_run(env.keys, wrong.run_id)
    if run is None:
        return False
    retention = env.settings.retention
    ttl_s = retention.of_run(run.runner, run.state) if run.is_finished else retention.result_s
    is_mended = bool(await mend_ttl(env.keys, wrong.run_id, wrong.ended, wrong.keys, ttl_s))
    if is_mended:
        log.warning("run=%s had keys with a wrong time to live; mended", wrong.run_id)
    return is_mended


async def remove(stray: Stray, env: Env) -> bool:
    """Take a member whose record is gone out of its index; False when the record is there."""
    del env
    is_removed: bool = await take_out(stray.record, stray.index, stray.member)
    if is_removed:
        log.warning("%s %s led to nothing that is kept; taken out", stray.index, stray.member)
    return is_removed
