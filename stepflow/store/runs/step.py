"""A step has ended and the run goes on: the next step is kept in hand, or handed over."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.ids import run_member
from stepflow.core.journal import start_entry
from stepflow.core.outcomes import Resting
from stepflow.core.run import Cleanup, PauseRequest, Run, RunState, StopRequest
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, raw
from stepflow.store.keys import Keys
from stepflow.store.limits.limited import first_in_line, limited
from stepflow.store.run_hash import format_time, rq_time, stop_fields
from stepflow.store.runs.move import (
    NO_WRITES,
    Answer,
    Fence,
    Writes,
    counts_keys,
    is_brief,
    pause_fields,
    wip_member,
)


def keep_step(
    keys: Keys,
    run: Run,
    fence: Fence,
    payload: bytes,
    *,
    now: float,
    effects: Writes = NO_WRITES,
    drop_memo: bool = False,
    look_at: Sequence[str] = (),
) -> Call[Answer]:
    """
    Close the run's present step and keep its claim for the next.

    Gives [DONE, length of each list of *look_at* ...], [AGAIN], or [STALE, rev, token].
    """
    base = keys.run(run.id)
    fields: list[Part] = ["rev", run.rev + 1, "step", run.step + 1, "updated", format_time(now)]
    if run.failures or run.crashes or run.handoff:
        fields += ("failures", 0, "crashes", 0, "handoff", 0)
    return scripts.KEEP_STEP.call(
        raw,
        keys={
            "run": base, "data": base + ":data", "steps": base + ":steps", "kv": base + ":kv",
            "memo": base + ":memo",
        },
        args={
            "rev": run.rev, "token": fence.token, "step": fence.name, "record": fence.record,
            "payload": payload, "drop_memo": 1 if drop_memo else 0,
        },
        lists={"deleted": effects.deleted, "written": effects.written, "fields": fields},
        key_lists={"look_at": look_at},
    )  # fmt: skip


def hand_over(
    keys: Keys,
    run: Run,
    fence: Fence,
    *,
    state: RunState,
    step: int,
    failures: int,
    crashes: int,
    due_at: float | None,
    now: float,
    payload: bytes | None = None,
    effects: Writes = NO_WRITES,
    drop_memo: bool = False,
    stop: StopRequest | None = None,
    cleanup: Cleanup = Cleanup.NONE,
    restarts: int = 0,
    pause: PauseRequest | None = None,
    last_error: str | None = None,
    waits_for: str = "",
    counted: Sequence[str] = (),
    rests: Resting | None = None,
) -> Call[Answer]:
    """
    Give the run back: *step* waits in its queue, or in the due set until *due_at*.

    With *pause* it stands instead, until it is resumed. With *restarts* above 0 it begins a new
    history: its journal and step records go. *last_error* is what the attempt failed with,
    *waits_for* what a postponed step waits for. *counted* are the counts that this adds to, but for
    what workers count. The limit *rests* begins nothing for a while. Answers as `keep_step`.
    """
    base, queue, time = keys.run(run.id), keys.queue_of(run), format_time(now)
    delivery, old_rq_id = run.next_delivery(step), run.claimed_rq_id or run.delivery
    rq_id, due = "" if pause else keys.rq_id(delivery), format_time(due_at)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", state, "step", step, "failures", failures, "crashes", crashes,
        "handoff", delivery.handoff, "delivery", rq_id, "due", due, "token", "", "claimed_id", "",
        "updated", time, *_asked(run, pause, stop), *_waits_for(run, waits_for, state, rests),
    ]  # fmt: skip
    fields += () if fence.token else ("request", fence.name, "parked", "")
    fields += ("cleanup", int(cleanup)) if cleanup > run.cleanup else ()
    fields += _restarted(run) if restarts else ()
    return scripts.HAND_OVER.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "kv": f"{base}:kv",
            "memo": f"{base}:memo", "claims": keys.claims, "claimed_job": keys.rq_job(old_rq_id),
            "wip": keys.rq_wip(queue), "job": keys.rq_job(rq_id), "list": keys.rq_list(queue),
            "queued_at": keys.queued_at(queue), "wake": keys.wake_of(run.queue), "due": keys.due,
            "scheduled": keys.rq_scheduled(queue), "journal": f"{base}:journal",
            "questions": f"{base}:questions", "replies": f"{base}:replies",
            "questions_index": keys.questions,
        },
        args={
            "rev": run.rev, "token": fence.token, "fence": fence.name, "lapsed": fence.lapsed,
            "member": run_member(run.id), "wip_member": wip_member(run), "rq_id": rq_id,
            "due": due, "now": time, "rq_time": rq_time(now), "ns": keys.namespace, "queue": queue,
            "lane": run.lane, "is_brief": is_brief(due_at or 0.0, now), "run_id": run.id,
            "drop_memo": int(drop_memo),
            "start": start_entry(restarts, now, step) if restarts else "", "old_rq_id": old_rq_id,
        },
        lists={
            "deleted": effects.deleted, "written": effects.written, "fields": fields,
            "data": _changed(payload=payload, last_error=last_error), "records": fence.records(),
            "counted": counted, "limited": limited(keys, run, now, restarts=restarts, rests=rests),
        },
        key_lists={"counts": counts_keys(keys, counted), "lane": keys.lanes_with(run)},
    )  # fmt: skip


def _asked(run: Run, pause: PauseRequest | None, stop: StopRequest | None) -> Sequence[Part]:
    """Write what the run was asked to do."""
    return [*pause_fields(run, pause), *(() if stop is None else stop_fields(stop))]


def _waits_for(run: Run, waits_for: str, state: RunState, rests: Resting | None) -> Sequence[Part]:
    """Write what a step waits for that is due later; what the run waited for before is over."""
    if rests is not None:
        return first_in_line(run, rests)
    is_old = bool(run.waits_for) and state is RunState.SCHEDULED
    return ("waits_for", waits_for) if waits_for or is_old else ()


def _changed(**data: bytes | str | None) -> list[Part]:
    """Write those fields of a run's data that have changed."""
    return [part for name, value in data.items() if value is not None for part in (name, value)]


def _restarted(run: Run) -> Sequence[Part]:
    """Write that a run begins a new history."""
    return ("journal", 1, *(() if run.has_children else ("cleanup", int(Cleanup.NONE))))
