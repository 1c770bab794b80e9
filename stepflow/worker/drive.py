"""
A claimed step's way through the engine: execute and commit.

The same for the next step, for as long as the worker keeps the run.
"""

from __future__ import annotations

import asyncio
import logging

from stepflow.core import probes
from stepflow.engine.user_code.calls import passes
from stepflow.store.claims import ClaimedDelivery
from stepflow.worker.claimed_run import ClaimedRun, claimed_run_of, run_of
from stepflow.worker.commit import commit
from stepflow.worker.execute import left_by, perform
from stepflow.worker.state import WorkerState

log = logging.getLogger("stepflow.run")


def begin(taken: ClaimedDelivery, worker_state: WorkerState) -> None:
    """Begin with a claimed step, in a slot and a task of its own."""
    probes.at("claim.taken")
    run = run_of(taken, worker_state.env.keys)
    if run.damage or not taken.token:
        worker_state.put_away(run)
        return
    claimed = claimed_run_of(run, taken.data, worker_state.registry)
    worker_state.add(claimed)
    if run.stop is not None:  # delivered once more so that it can clean up
        claimed.stop(run.stop, worker_state.loop.time())
    claimed.task = worker_state.loop.create_task(_drive(claimed, worker_state))


async def _drive(claimed: ClaimedRun, worker_state: WorkerState) -> None:
    """Carry a claimed run from its first step to the last one it keeps."""
    try:
        keeps = True
        while keeps:
            try:
                outcome = await perform(claimed, worker_state)
            except GeneratorExit as error:
                # the runner awaited what raised it: Python then closes all that waits for it
                if passes(error):
                    raise
                outcome = left_by(error, claimed)
            probes.at("execute.done")
            claimed.attempt.end()
            keeps = outcome is not None and await commit(claimed, outcome, worker_state)
            worker_state.finished_steps += 1
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception(
            "run=%s step=%s: the runtime itself failed; the step runs again when its claim lapses",
            claimed.run.id,
            claimed.run.step,
        )
    finally:
        worker_state.remove(claimed)
