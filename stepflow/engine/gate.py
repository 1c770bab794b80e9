"""
The gate for what is read from Redis: what cannot be read concerns its run alone.

Reading never raises (`store/run_hash.py`), scripts step over what they cannot read
(`lua/lib/total.lua`), and whoever meets a damaged record brings it here: a run is set aside, paused
with a reason that names what could not be read, a hook delivery ends dead. Then nothing leads to it
any more, until somebody repairs and resumes it, or ends it.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from stepflow.core.ids import member_of_rq_id, split_member
from stepflow.core.outcomes import Pause, readable
from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.errors import StepflowError, UnreadableRecord
from stepflow.store.hooks import HookRecord, load_hook
from stepflow.store.keys import Keys
from stepflow.store.maintenance import bury_hook, set_aside
from stepflow.store.runs import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

log = logging.getLogger("stepflow.worker")


def reason_of(problem: object) -> str:
    """Say, for people, why a run stands that cannot be read."""
    return readable(f"unreadable: {problem}; repair it and resume the run, or cancel it")


def pause_for(problem: object) -> Pause:
    """Make the outcome of a step that cannot go on, for what its run keeps cannot be read."""
    return Pause(reason_of(problem))


def check_readable(run: Run) -> Run:
    """
    Give *run* back if all of its record could be read, else raise UnreadableRecord.

    For those who ask by hand.
    """
    if run.damage:
        raise UnreadableRecord.of_run(
            run.id, f"{run.unreadable}; repair it and try again, or cancel the run"
        )
    return run


async def set_run_aside(run: Run, env: Env) -> bool:
    """Set a run aside whose record is damaged; False when it was repaired meanwhile."""
    done: bool = await set_aside(
        env.keys, run, reason=reason_of(run.unreadable), now=env.clock.now()
    )
    if done:
        log.error("run=%s is set aside: %s", run.id, reason_of(run.unreadable))
    return done


async def bury(hook: HookRecord, env: Env) -> bool:
    """End a hook delivery whose record is damaged as dead."""
    problem = f"its record cannot be read: {hook.unreadable}"
    ttl_s = env.settings.retention.hook_s
    done: bool = await bury_hook(env.keys, hook, problem=problem, now=env.clock.now(), ttl_s=ttl_s)
    if done:
        log.error("hook=%s is dead: %s", hook.id, problem)
    return done


async def put_away(member: str, env: Env) -> bool:
    """
    Look at a run or hook that somebody could not read, and put it away if it is damaged.

    Says whether it was.
    """
    kind, name = split_member(member)
    if kind == "hook":
        hook = await load_hook(env.keys, name)
        return bool(hook is not None and hook.damage and (await bury(hook, env)))
    run = await load_run(env.keys, name)
    return bool(run is not None and run.damage and (await set_run_aside(run, env)))


def member_of_delivery(rq_id: str, keys: Keys) -> str:
    """Name the run or hook that an RQ id delivers, as the claims know it; "" if it is not ours."""
    return member_of_rq_id(rq_id.removeprefix(keys.job_prefix))


def report_strays(strays: Sequence[str]) -> None:
    """Say what was found in an index and led to nothing that is kept."""
    for stray in strays:
        log.error("%s leads to no run and no hook; taken out", stray)


@contextmanager
def one_by_one(what: str) -> Iterator[None]:
    """
    Have a fault in the block concern *what* alone.

    It is logged by name, and whoever does many goes on with the next.
    """
    try:
        yield
    except StepflowError as error:
        log.warning("%s: %s", what, error)
    except Exception:
        log.exception("%s: the runtime itself failed; it goes on with the others", what)
