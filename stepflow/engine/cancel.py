"""cancel: a waiting run ends inside the call; a running one is told through its token. The deadline goes the same way."""

from __future__ import annotations

import logging

from stepflow.core import probes
from stepflow.core.outcomes import readable
from stepflow.core.run import Run, Stop, StopKind
from stepflow.core.transition import Kind, Transition
from stepflow.core.transitions import decide_stop
from stepflow.engine.desk import Desk
from stepflow.engine.outbox import end_fields, note_untold, plan_hooks, plan_kin
from stepflow.engine.spec import read_given
from stepflow.store.calls import Plan
from stepflow.store.claims import forget_deadline, forget_waiting
from stepflow.store.codec import unpack
from stepflow.store.hooks import load_app_hooks
from stepflow.store.reading import load_data, load_run
from stepflow.store.runs import STALE, Proof, finish_run, hand_over, mark_run

log = logging.getLogger("stepflow.run")


def cancel(run_id: str, reason: str, desk: Desk) -> Plan[bool]:
    """Ask the run to end; True when it ends by this call or was asked to before, False when it is unknown or ended."""
    return (yield from stop_run(run_id, Stop(StopKind.CANCEL, readable(reason), desk.clock.now()), desk))


def fail(run_id: str, reason: str, desk: Desk) -> Plan[bool]:
    """
    End the run as failed by hand; True when it ends by this call or was asked to before, False when it is unknown or ended.

    Final for a run that waits or is paused, and for one that was asked to stop already: nothing is compensated then.
    """
    return (yield from stop_run(run_id, Stop(StopKind.FAIL, readable(reason), desk.clock.now()), desk))


def stop_run(run_id: str, stop: Stop, desk: Desk) -> Plan[bool]:
    """
    End the run, or mark it so that its worker ends it; says whether it will end, by this stop or by one before it.

    A run that was marked and let its grace pass is ended without its worker, whose late commit is then refused.
    """
    request = desk.request_id()
    grace_s = desk.settings.worker.stop_grace_s
    while True:
        run = yield load_run(desk.keys, run_id)
        if run is None:
            yield forget_deadline(desk.keys, run_id)
            return False
        now = desk.clock.now()
        overdue = run.stop is not None and now >= run.stop.at + grace_s and stop.kind is StopKind.DEADLINE
        move = decide_stop(run, stop, overdue=overdue)
        probes.at("cancel.ready")
        match move.kind:
            case Kind.FINISH:
                answer = yield from finish_from_outside(run, move, Proof("", request), desk)
            case Kind.RETRY:
                answer = yield hand_over(
                    desk.keys, run, Proof("", request), state=move.state, step=move.step, failures=move.failures,
                    crashes=move.crashes, due_at=None, now=now, stop=move.stop,
                )  # fmt: skip
            case Kind.MARK:
                again = None if run.rest else now + grace_s
                answer = yield mark_run(desk.keys, run, stop, request=request, look_again_at=again, now=now)
            case _:
                if stop.kind is StopKind.DEADLINE:  # nothing is left to look after: the run ends by the stop it has
                    yield forget_deadline(desk.keys, run_id)
                return not run.is_finished
        if answer[0] != STALE:
            log.info("run=%s %s: %s", run.id, "ended" if move.kind is Kind.FINISH else "told to stop", stop.kind)
            return True


def finish_from_outside(run: Run, move: Transition, proof: Proof, desk: Desk) -> Plan[list[int]]:
    """End *run* for somebody who does not hold it; gives the script's answer."""
    data, packed = yield [load_data(desk.keys, run.id), load_app_hooks(desk.keys, run.runner)]
    now = desk.clock.now()
    given, fields = read_given(data.get(b"spec")), end_fields(move, desk.settings.limits.payload_bytes)
    known = unpack(packed) if packed else desk.hooks_of(run.runner)
    hooks = plan_hooks(run, move, given, known or (), desk, now)
    answer: list[int] = yield finish_run(
        desk.keys, run, proof, state=move.state, now=now, ttl_s=desk.settings.retention.result_s,
        data=fields, hooks=hooks, kin=plan_kin(run, move, given, fields, desk, now),
        untold=note_untold(run, move, given, now) if known is None else None,
    )  # fmt: skip
    if run.blocked_at and answer[0] != STALE:
        # its delivery stands in a waiting list that no worker of now reads; before the end it is all that the run has
        yield forget_waiting(desk.keys, desk.keys.queue_of(run), run.runner_key, run.delivery)
    return answer
