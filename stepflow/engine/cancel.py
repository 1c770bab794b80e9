"""
cancel: a waiting run ends inside the call; a running one is told through its token.

The deadline goes the same way.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from stepflow.core import probes
from stepflow.core.counts import end_fields as end_counts
from stepflow.core.outcomes import readable
from stepflow.core.run import Run, StopKind, StopRequest
from stepflow.core.transition import Transition, TransitionKind
from stepflow.core.transitions import decide_stop, end_of_stop
from stepflow.engine.env import Env
from stepflow.engine.gate import set_run_aside
from stepflow.engine.hooks.ended import note_for_archive
from stepflow.engine.hooks.hold import kept_for
from stepflow.engine.outbox import (
    end_fields,
    note_untold,
    plan_family_update,
    plan_hooks,
    read_app_hooks,
)
from stepflow.engine.spec import NO_OPTIONS, StoredOptions, read_options
from stepflow.errors import InvalidRunId, StepflowError
from stepflow.store.calls import batch
from stepflow.store.claims import forget_deadline, forget_waiting
from stepflow.store.hooks import load_app_hooks
from stepflow.store.runs import (
    STALE,
    Answer,
    Fence,
    finish_run,
    hand_over,
    load_data,
    load_run,
    mark_run,
)

log = logging.getLogger("stepflow.run")


async def cancel(run_id: str, reason: str, env: Env, *, by: str = "") -> bool:
    """
    Stop the run: it ends as cancelled. *by* is who asks, for those who look at it later.

    True when this call ends it, now or soon, or an earlier stop does; False when it is unknown or
    has ended.
    """
    return await stop_run(
        run_id, StopRequest(StopKind.CANCEL, readable(reason), env.clock.now(), readable(by)), env
    )


async def fail(run_id: str, reason: str, env: Env, *, by: str = "") -> bool:
    """
    End the run as failed by hand. *by* is who does it, for those who look at it later.

    True when this call ends it, now or soon, or an earlier stop does; False when it is unknown or
    has ended. A run that waits, is paused or was stopped before ends at once, and compensates
    nothing.
    """
    return await stop_run(
        run_id, StopRequest(StopKind.FAIL, readable(reason), env.clock.now(), readable(by)), env
    )


async def stop_run(run_id: str, stop: StopRequest, env: Env) -> bool:
    """
    End the run, or mark it so that its worker ends it.

    True when it will end, by this stop or by one before it. A run that was marked and let its grace
    pass is ended without its worker, whose late commit is then refused.
    """
    if not isinstance(run_id, str):
        raise InvalidRunId(run_id)
    request = env.request_id()
    grace_s = env.settings.worker.stop_grace_s
    while True:
        run = await load_run(env.keys, run_id)
        if run is None:
            await forget_deadline(env.keys, run_id)
            return False
        if run.damage and not run.is_finished:
            if await _stop_damaged(run, stop, request, env):
                return True
            continue
        now = env.clock.now()
        overdue = (
            run.stop is not None and now >= run.stop.at + grace_s and stop.kind is StopKind.DEADLINE
        )
        move = decide_stop(run, stop, overdue=overdue)
        probes.at("cancel.ready")
        match move.kind:
            case TransitionKind.FINISH:
                answer = await finish_from_outside(run, move, Fence("", request), env, by=stop.by)
            case TransitionKind.HAND_OVER:
                answer = await hand_over(
                    env.keys, run, Fence("", request), state=move.state, step=move.step,
                    failures=move.failures, crashes=move.crashes, due_at=None, now=now,
                    stop=move.stop,
                )  # fmt: skip
            case TransitionKind.MARK:
                again = None if run.cleans_up(stop.kind) else now + grace_s
                answer = await mark_run(
                    env.keys, run, stop, request=request, look_again_at=again, now=now
                )
            case _:
                if stop.kind is StopKind.DEADLINE:  # no longer needed: an earlier stop ends the run
                    await forget_deadline(env.keys, run_id)
                return not run.is_finished
        if answer[0] != STALE:
            log.info(
                "run=%s %s: %s",
                run.id,
                "ended" if move.kind is TransitionKind.FINISH else "told to stop",
                stop.kind,
            )
            return True


async def _stop_damaged(run: Run, stop: StopRequest, request: str, env: Env) -> bool:
    """
    End a run whose record cannot be read, at once and without its cleanup.

    Its deadline only sets it aside. False when the record has changed meanwhile.
    """
    if stop.kind is StopKind.DEADLINE:
        return await set_run_aside(run, env)
    end = end_of_stop(run, stop)
    answer = await finish_from_outside(run, end, Fence("", request), env, by=stop.by)
    if answer[0] == STALE:
        return False
    log.warning("run=%s ended by hand, though unreadable: %s", run.id, run.unreadable)
    return True


async def finish_from_outside(
    run: Run,
    move: Transition,
    fence: Fence,
    env: Env,
    *,
    by: str = "",
    counted: Sequence[str] = (),
) -> Answer:
    """
    End *run* without its claim, *by* somebody if that is known; gives the script's answer.

    The end is counted, and with it what *counted* names.
    """
    data, packed = await batch(load_data(env.keys, run.id), load_app_hooks(env.keys, run.runner))
    now = env.clock.now()
    options, fields = _options(run, data), end_fields(move, env.settings.limits.payload_bytes)
    known = _app_hooks(run, packed) if packed else env.hooks_of(run.runner)
    hooks = plan_hooks(run, move, options, known or (), env, now)
    answer = await finish_run(
        env.keys, run, fence, state=move.state, now=now,
        **kept_for(run.runner, move.state, known or (), env.settings),
        data=fields, hooks=hooks, update=plan_family_update(run, move, options, fields, env, now),
        archived=note_for_archive(run, move, options, known or (), fields, now),
        untold=note_untold(run, move, options, now) if known is None else None, stopped_by=by,
        counted=[*end_counts(run.runner, move.state, move.error), *counted],
    )  # fmt: skip
    if run.unroutable_since and answer[0] != STALE:
        # its delivery stands in a waiting list that no live worker reads; it must stay there until
        # the end is written, for nothing else leads to the run
        await forget_waiting(env.keys, env.keys.queue_of(run), run.runner_key, run.delivery)
    return answer


def _options(run: Run, data: Mapping[bytes, bytes]) -> StoredOptions:
    """
    Read the options that the run keeps.

    A run whose options cannot be read ends all the same, and calls none of the hooks they name.
    """
    try:
        return read_options(data.get(b"spec"))
    except StepflowError as error:
        log.error("run=%s ends, but whom it was to tell cannot be read: %s", run.id, error)
        return NO_OPTIONS


def _app_hooks(run: Run, packed: bytes | None) -> Sequence[Sequence[str]]:
    """Read which hooks the app of the run has."""
    try:
        return read_app_hooks(packed)
    except StepflowError as error:
        log.error(
            "run=%s ends, but the hooks of runner %s cannot be read: %s", run.id, run.runner, error
        )
        return ()
