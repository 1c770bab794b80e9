"""Hand a step over again whose claim ran out, or whose queue entry was lost."""

from __future__ import annotations

import logging

from stepflow.core import probes
from stepflow.core.backoff import RetryPolicy
from stepflow.core.counts import Counted, Recovery, StepCount, field_of
from stepflow.core.ids import run_member
from stepflow.core.outcomes import Lost, Outcome
from stepflow.core.run import Run, RunState
from stepflow.core.step_record import StepRecord, attempt_name
from stepflow.core.transition import TransitionKind
from stepflow.core.transitions import decide
from stepflow.engine.cancel import finish_from_outside
from stepflow.engine.env import Env
from stepflow.engine.gate import set_run_aside
from stepflow.store.claims import forget_claim
from stepflow.store.runs import STALE, Fence, hand_over, load_run

log = logging.getLogger("stepflow.run")


async def hand_over_again(
    run_id: str,
    outcome: Outcome,
    lapsed: str,
    env: Env,
    *,
    dead_token: str = "",
    rev: int | None = None,
) -> bool:
    """
    Settle the present step of a run without its claim; True when the run was moved.

    With *rev* only a run that has not moved since it was read.
    """
    run = await load_run(env.keys, run_id)
    if run is None:
        await forget_claim(env.keys, run_member(run_id))
    elif run.damage:
        return await set_run_aside(run, env)
    if run is None or not _is_still_so(run, outcome, dead_token, rev):
        return False
    now = env.clock.now()
    most = env.settings.worker.max_crashes
    move = decide(
        run, run.step, outcome, RetryPolicy(), now, spread=env.rng.random(), max_crashes=most
    )
    record = StepRecord(
        run.token, "lost", attempt=run.failures + 1, started_at=run.updated_at, ended_at=now,
        due_at=move.due_at or 0.0,
    )  # fmt: skip
    fence, counted = Fence("", env.request_id(), lapsed=lapsed), _counted(run, outcome, dead_token)
    probes.at("recover.ready")
    if move.kind is TransitionKind.FINISH:
        answer = await finish_from_outside(run, move, fence, env, counted=counted)
    elif move.kind is TransitionKind.HAND_OVER:
        fence = Fence(
            "",
            fence.name,
            record.write() if run.token else "",
            lapsed=lapsed,
            record_name=attempt_name(run.step, run.token, lost=True),
        )
        answer = await hand_over(
            env.keys, run, fence, state=move.state, step=move.step, failures=move.failures,
            crashes=move.crashes, due_at=move.due_at, now=now, stop=move.stop, cleanup=move.cleanup,
            pause=move.paused, counted=counted,
        )  # fmt: skip
    else:
        return False
    if answer[0] == STALE:
        return False
    probes.at("recover.done")
    if isinstance(outcome, Lost):
        log.warning(
            "run=%s step=%s was lost with its worker (crash %s); %s",
            run_id,
            run.step,
            run.crashes + 1,
            move.state,
        )
    return True


def _counted(run: Run, outcome: Outcome, dead_token: str) -> list[str]:
    """Name the counts of what is done here."""
    if not isinstance(outcome, Lost):
        return [field_of(Counted.RECOVERED, Recovery.LOST_DELIVERY)]
    why = Recovery.DEAD_WORKER if dead_token else Recovery.LAPSED
    return [
        field_of(Counted.RECOVERED, why), field_of(Counted.STEPS, run.runner, StepCount.LOST)
    ]  # fmt: skip


def _is_still_so(run: Run, outcome: Outcome, dead_token: str, rev: int | None) -> bool:
    """
    Whether the run stands as it was found; others may have come first.

    A lost step must still be claimed. One that lost its delivery must still wait for it, and not
    have been claimed and put to sleep since the scan.
    """
    if run.state is not (RunState.RUNNING if isinstance(outcome, Lost) else RunState.PENDING):
        return False
    return (not dead_token or run.token == dead_token) and (rev is None or run.rev == rev)
