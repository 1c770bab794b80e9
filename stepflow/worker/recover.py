"""recover: hand a step over again whose claim ran out, or whose queue entry was lost."""

from __future__ import annotations

import logging

from stepflow.core.ids import hook_member, split_member, worker_of
from stepflow.core.outcomes import HandBack, Lost
from stepflow.core.run import RunState
from stepflow.engine.env import Env
from stepflow.engine.gate import bury, set_run_aside
from stepflow.engine.recovery.again import hand_over_again
from stepflow.store.calls import batch_of
from stepflow.store.claims import (
    claim_holder,
    forget_claim,
    standing_claims,
    stands_in_queue,
    tidy_lost_delivery,
)
from stepflow.store.hooks import DEAD, DELIVERED, load_hook, requeue_hook
from stepflow.store.query import forget_rq_worker, rq_worker_row
from stepflow.store.run_hash import format_time
from stepflow.store.runs import load_run

log = logging.getLogger("stepflow.run")

#: members read in one go when the claims of one worker are looked for
PAGE = 500


async def recover_lapsed(member: str, env: Env, *, dead_token: str = "") -> bool:
    """
    Hand over the run or hook of a claim that ran out; True when anything was done.

    *dead_token* is a claim whose worker is dead for sure, as its supervisor knows: then the lease
    need not have run out.
    """
    kind, name = split_member(member)
    lapsed = "" if dead_token else format_time(env.clock.now())
    if kind == "hook":
        return await _requeue_hook(name, lapsed, env, was_claimed=True, dead_token=dead_token)
    return await hand_over_again(name, Lost(), lapsed, env, dead_token=dead_token)


async def recover_lost_delivery(member: str, env: Env) -> bool:
    """
    Hand over again what waits for a queue entry that is gone (`rq empty`, a killed stock worker).

    It counts neither as an attempt nor as a crash.
    """
    kind, name = split_member(member)
    if kind == "hook":
        return await _requeue_hook(name, "", env, was_claimed=False)
    run = await load_run(env.keys, name)
    if run is not None and run.damage:
        return await set_run_aside(run, env)
    if run is None or run.state is not RunState.PENDING:
        return False
    queue = env.keys.queue_of(run)
    if await stands_in_queue(queue, run.delivery):
        return False  # it is there: two submits at once may stand in another order than their times
    await batch_of(tidy_lost_delivery(queue, run.delivery))
    log.warning(
        "run=%s step=%s had lost its queue entry %s; handed over again",
        name,
        run.step,
        run.delivery,
    )
    return await hand_over_again(name, HandBack(), "", env)


async def recover_worker(worker: str, env: Env) -> int:
    """Recover every claim of a worker that is dead for sure; gives their number."""
    mine = await claims_of(worker, env)
    count = 0
    for member, token in mine:
        count += await recover_lapsed(member, env, dead_token=token)
    row = await rq_worker_row(worker)
    await batch_of(forget_rq_worker(worker, row))
    return count


async def claims_of(worker: str, env: Env) -> list[tuple[str, str]]:
    """Find the claims of a worker, as (member, token), also those it does not know of."""
    found: dict[str, str] = {}
    cursor = 0
    while True:
        cursor, members = await standing_claims(env.keys, cursor, PAGE)
        tokens = (
            (await batch_of([claim_holder(env.keys, member) for member in members]))
            if members
            else []
        )
        mine = zip(members, tokens, strict=True)
        found |= {member: token for member, token in mine if worker_of(token) == worker}
        if not cursor:
            return list(found.items())


async def _requeue_hook(
    hook_id: str, lapsed: str, env: Env, *, was_claimed: bool, dead_token: str = ""
) -> bool:
    hook = await load_hook(env.keys, hook_id)
    if hook is None:
        await forget_claim(env.keys, hook_member(hook_id))
    elif hook.damage:
        return await bury(hook, env)
    if hook is None or hook.state in {DELIVERED, DEAD} or bool(hook.token) is not was_claimed:
        return False
    if dead_token and hook.token != dead_token:
        return False
    return bool(await requeue_hook(env.keys, hook, now=env.clock.now(), lapsed=lapsed))
