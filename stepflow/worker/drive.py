"""A claimed step's way through the engine: execute, commit, and on with the next one while the worker keeps the run."""

from __future__ import annotations

import asyncio
import logging

from stepflow.core import probes
from stepflow.engine.user_code.calls import passes
from stepflow.store.claims import Taken
from stepflow.worker.claimed_run import Hold, hold_of, run_of
from stepflow.worker.commit import commit
from stepflow.worker.execute import left_by, perform
from stepflow.worker.state import Shift

log = logging.getLogger("stepflow.run")


def begin(taken: Taken, shift: Shift) -> None:
    """Begin with a claimed step, in a slot and a task of its own."""
    probes.at("claim.taken")
    run = run_of(taken, shift.desk.keys)
    if run.damage or not taken.token:
        shift.put_away(run)
        return
    hold = hold_of(run, taken.data, shift.registry)
    shift.take_up(hold)
    if hold.run.stop is not None:  # handed over once more for its last word
        hold.stop(hold.run.stop, shift.loop.time())
    hold.task = shift.loop.create_task(_drive(hold, shift))


async def _drive(hold: Hold, shift: Shift) -> None:
    """Carry one hold from its first step to the last one kept. Safe to repeat by another worker."""
    try:
        keeps = True
        while keeps:
            try:
                outcome = await perform(hold, shift)
            except (
                GeneratorExit
            ) as error:  # the runner awaited what raised it: Python then closes all that waits for it
                if passes(error):
                    raise
                outcome = left_by(error, hold)
            probes.at("execute.done")
            hold.in_runner, hold.step_until = False, 0.0
            keeps = outcome is not None and await commit(hold, outcome, shift)
            shift.finished_steps += 1
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception(
            "run=%s step=%s: the runtime itself failed; the step runs again when its claim lapses",
            hold.run.id,
            hold.run.step,
        )
    finally:
        shift.put_down(hold)
