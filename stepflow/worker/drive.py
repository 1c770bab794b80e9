"""
A claimed step's way through the engine: execute and commit.

The same for the next step, for as long as the worker keeps the run. A run that the code here does
not fit is handed on to workers with other code, and pauses once no live worker is left to try.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace

from stepflow.core import probes
from stepflow.core.outcomes import Outcome, Pause, TryElsewhere
from stepflow.core.tried import Trial, Tried
from stepflow.engine.events.telemetry import AttemptFacts, Telemetry
from stepflow.engine.kept import pack_tried
from stepflow.engine.user_code.calls import passes
from stepflow.errors import StepflowError
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
    worker_state.counters.note_wait(run, worker_state.env.clock.now())
    claimed = claimed_run_of(run, taken.data, worker_state.registry)
    worker_state.add(claimed)
    if run.stop is not None:  # delivered once more so that it can clean up
        claimed.stop(run.stop, worker_state.loop.time())
    if worker_state.observers is not None:
        worker_state.observers.taken(run, worker_state.env.clock.now())
    drive = _drive if claimed.connection is None else _drive_confirmed
    claimed.task = worker_state.loop.create_task(drive(claimed, worker_state))


async def _drive_confirmed(claimed: ClaimedRun, worker_state: WorkerState) -> None:
    """Wait until what went before the step will last, as its runner asks for; then carry it on."""
    from stepflow.store.durability.async_ import confirm  # noqa: PLC0415  few wait for it

    assert claimed.connection is not None
    try:
        await confirm(claimed.connection)
    except BaseException as error:
        worker_state.remove(claimed)
        if not isinstance(error, StepflowError):
            raise
        log.warning("run=%s step=%s not begun: %s", claimed.run.id, claimed.run.step, error)
    else:
        await _drive(claimed, worker_state)


async def _drive(claimed: ClaimedRun, worker_state: WorkerState) -> None:
    """Carry a claimed run from its first step to the last one it keeps."""
    if worker_state.observers is not None:
        worker_state.observers.entered()
    try:
        keeps = True
        while keeps:
            try:
                registry = worker_state.registry
                if registry.telemetry is not None:
                    outcome = await _perform_traced(claimed, worker_state, registry.telemetry)
                elif (
                    claimed.tried is not None
                    or claimed.run.limits
                    or registry.resources.has_any_of_runs
                ):
                    outcome = await _perform(claimed, worker_state)
                else:  # most steps: one await less
                    outcome = await perform(claimed, worker_state)
                    if isinstance(outcome, Pause):
                        outcome = await _try_elsewhere(claimed, outcome, worker_state)
            except GeneratorExit as error:
                # the runner awaited what raised it: Python then closes all that waits for it
                if passes(error):
                    raise
                outcome = left_by(error, claimed)
            probes.at("execute.done")
            claimed.attempt.end()
            if claimed.output is not None:
                await claimed.output.flush()
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


async def _perform_traced(
    claimed: ClaimedRun, worker_state: WorkerState, telemetry: Telemetry
) -> Outcome | None:
    """Run the present step in a span; runs of other languages have their trace in plain headers."""
    options, runner = claimed.options, claimed.runner
    facts = AttemptFacts(
        claimed.run,
        worker_state.name,
        options.trace or options.headers,
        is_workflow=runner.version is not None,
        is_agent=runner.is_agent,
    )
    with telemetry.trace_attempt(facts) as attempt:
        outcome = await _perform(claimed, worker_state)
        attempt.note_outcome(outcome)
        return outcome


async def _perform(claimed: ClaimedRun, worker_state: WorkerState) -> Outcome | None:
    """Run the present step, unless it is known that the code here does not fit the run."""
    if claimed.tried is not None:
        elsewhere = await _hand_on_again(claimed, claimed.tried, worker_state)
        if elsewhere is not None:
            return elsewhere
    async with AsyncExitStack() as around:
        resources = worker_state.registry.resources
        if resources.has_any_of_runs:
            await around.enter_async_context(resources.activation())
        if claimed.run.limits and claimed.runner.version is None:
            from stepflow.worker.limits.settling import settling  # noqa: PLC0415  few have any

            around.enter_context(settling(claimed, worker_state))
        outcome = await perform(claimed, worker_state)
    if isinstance(outcome, Pause):
        return await _try_elsewhere(claimed, outcome, worker_state)
    return outcome


async def _hand_on_again(
    claimed: ClaimedRun, tried: Tried, worker_state: WorkerState
) -> Outcome | None:
    """Hand on a run that the code here was tried on before; None when nobody else is left."""
    run = claimed.run
    if worker_state.build_of(run.runner_key) not in tried.builds:
        return None
    left = tried.left(await worker_state.live_builds(run))
    # with nobody left it is tried here once more, which pauses it
    return TryElsewhere(worker_state.env.rng.choice(left), pack_tried(tried)) if left else None


async def _try_elsewhere(claimed: ClaimedRun, pause: Pause, worker_state: WorkerState) -> Outcome:
    """Hand on a run that does not fit, or say what becomes of it once no build is left to try."""
    run, before = claimed.run, claimed.tried or Tried()
    build = worker_state.build_of(run.runner_key)
    tried = before.with_trial(Trial(build, worker_state.name, pause.reason))
    left = tried.left(await worker_state.live_builds(run))
    if left:
        log.info(
            "run=%s step=%s does not fit the code of this worker (%s); handed on to workers with "
            "other code",
            run.id,
            run.step,
            pause.reason,
        )
        return TryElsewhere(worker_state.env.rng.choice(left), pack_tried(tried))
    if pause.otherwise is not None:
        return pause.otherwise
    if len(tried.trials) == 1:
        return pause
    return replace(pause, reason=f"{pause.reason}; tried by {tried.workers}")
