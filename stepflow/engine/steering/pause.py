"""
Pausing by hand: a run stands until somebody resumes it, and then goes on where it stood.

A run that waits stands at once. One that a worker has claimed is asked to: the worker finishes the
present step, whose outcome counts, and leaves the run then. A paused run takes signals and answers,
and its deadline ends it.
"""

from __future__ import annotations

import logging

from stepflow.core.outcomes import readable
from stepflow.core.run import PauseRequest, RunState
from stepflow.core.transition import TransitionKind
from stepflow.core.transitions import decide_pause, decide_resume, decide_run_now
from stepflow.engine.env import Env
from stepflow.engine.gate import check_readable
from stepflow.errors import NotPausable, NotResumable, NotScheduled, RunNotFound
from stepflow.store.claims import forget_waiting
from stepflow.store.maintenance import put_deadline
from stepflow.store.runs import NOT_YET, STALE, Answer, Fence, hand_over, load_run
from stepflow.store.steering.pauses import load_waits, mark_pause, park_again

log = logging.getLogger("stepflow.run")


async def pause(run_id: str, reason: str, by: str, env: Env) -> bool:
    """
    Have the run stand until it is resumed.

    True when it stands now, False when its worker finishes the present step first. A run that is
    paused already stays so, for its first reason. Raises RunNotFound, and NotPausable for one that
    has ended or is being stopped.
    """
    request = env.request_id()
    while True:
        run = await load_run(env.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        now = env.clock.now()
        asked = PauseRequest(readable(by), readable(reason), now)
        move = decide_pause(check_readable(run), asked)
        answer: Answer
        match move.kind:
            case TransitionKind.MARK:
                answer = await mark_pause(env.keys, run, asked, request=request, now=now)
            case TransitionKind.HAND_OVER:
                answer = await hand_over(
                    env.keys, run, Fence("", request), state=move.state, step=move.step,
                    failures=move.failures, crashes=move.crashes, due_at=None, now=now,
                    pause=move.paused,
                )  # fmt: skip
            case _ if move.why:
                raise NotPausable(run_id, move.why)
            case _:
                return run.state is RunState.PAUSED
        if answer[0] == STALE:
            continue
        if run.unroutable_since and move.kind is TransitionKind.HAND_OVER:
            await forget_waiting(env.keys, env.keys.queue_of(run), run.runner_key, run.delivery)
        log.info("run=%s %s by %s", run_id, "paused" if move.paused else "asked to pause", by)
        return move.kind is TransitionKind.HAND_OVER


async def resume(run_id: str, env: Env) -> None:
    """
    Let a paused run go on.

    One that somebody paused goes on where it stood, with the due time it had; one that its own code
    paused starts its step again, its attempts counted anew. Raises RunNotFound, NotResumable,
    UnreadableRecord for one that was not repaired.
    """
    request = env.request_id()
    while True:
        run = await load_run(env.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        now = env.clock.now()
        move = decide_resume(run, now)
        if move.kind is TransitionKind.DROP:
            raise NotResumable(run_id, run.state)
        check_readable(run)
        stood = None if run.pause is None else run.pause.stood
        answer: Answer
        if move.kind is TransitionKind.MARK:
            answer = await mark_pause(env.keys, run, None, request=request, now=now)
        elif move.kind is TransitionKind.PARK and stood is not None:
            waits = await load_waits(env.keys, run_id)
            answer = await park_again(env.keys, run, stood, waits, request=request, now=now)
        else:
            answer = await hand_over(
                env.keys, run, Fence("", request), state=move.state, step=move.step,
                failures=move.failures, crashes=move.crashes, due_at=move.due_at, now=now,
            )  # fmt: skip
        if answer[0] in {STALE, NOT_YET}:
            continue
        if run.deadline_at:  # one that had been set aside has none in the index
            await put_deadline(env.keys, run_id, run.deadline_at)
        return


async def run_now(run_id: str, env: Env) -> bool:
    """
    Have a run that waits for its due time, or for its next attempt, be due now.

    True when this call moved it, False when it was in its queue already. Raises RunNotFound, and
    NotScheduled for one that waits for no time.
    """
    request = env.request_id()
    while True:
        run = await load_run(env.keys, run_id)
        if run is None:
            raise RunNotFound(run_id)
        move = decide_run_now(check_readable(run))
        if move.kind is TransitionKind.DROP:
            if move.why:
                raise NotScheduled(run_id, run.state)
            return False
        answer = await hand_over(
            env.keys, run, Fence("", request), state=move.state, step=move.step,
            failures=move.failures, crashes=move.crashes, due_at=None, now=env.clock.now(),
        )  # fmt: skip
        if answer[0] != STALE:
            return True
