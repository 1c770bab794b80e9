"""Runs that have waited in line for longer than their limit allows: they end as failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stepflow.core.limits.use import is_of_step, label_of
from stepflow.core.run import PRIORITIES, RunState, StopKind, StopRequest
from stepflow.core.transition import Transition
from stepflow.core.transitions import end_of_stop
from stepflow.engine.cancel import finish_from_outside
from stepflow.engine.env import Env
from stepflow.store.calls import batch_of
from stepflow.store.limits.hash import load_values
from stepflow.store.limits.lines import waiting_since
from stepflow.store.runs import Fence, hand_over, load_run

log = logging.getLogger("stepflow.run")

#: runs of one line and priority that one round ends
MOST_ENDED = 50


async def end_overdue(lines: Sequence[tuple[str, str]], env: Env) -> int:
    """End the runs in *lines* whose limit says that they have waited too long; gives how many."""
    count = 0
    bounds = await batch_of([load_values(env.keys, name, key) for name, key in lines])
    for (name, key), values in zip(lines, bounds, strict=True):
        wait_s = values.max_wait
        if not isinstance(wait_s, float):
            continue
        before = env.clock.now() - wait_s
        found = await batch_of(
            [
                waiting_since(env.keys, name, key, before, level, MOST_ENDED)
                for level in range(PRIORITIES)
            ]
        )
        runs = (each for level in found for each in level if not is_of_step(each))
        for run_id in runs:  # a step looks for itself when its time is up
            count += await _end(run_id, name, key, wait_s, env)
    return count


async def _end(run_id: str, name: str, key: str, wait_s: float, env: Env) -> bool:
    run = await load_run(env.keys, run_id)
    if run is None or run.damage or run.stop or run.state is not RunState.PENDING or not run.held:
        return False
    label, now = label_of(name, key), env.clock.now()
    why = f"it waited in line for limit {label} for more than {wait_s:g} s, its max_wait"
    stop, fence = (
        StopRequest(StopKind.ERROR, f"LimitTimeout|{why}", now),
        Fence("", env.request_id()),
    )
    if run.cleanup:  # in its turn, as whatever the run does
        move = Transition.clean_up(run, stop, why)
        await hand_over(
            env.keys, run, fence, state=move.state, step=move.step, failures=move.failures,
            crashes=move.crashes, due_at=None, now=now, stop=move.stop,
        )  # fmt: skip
    else:
        await finish_from_outside(run, end_of_stop(run, stop), fence, env)
    log.error("run=%s failed: %s", run_id, why)
    return True
