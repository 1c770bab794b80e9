"""A run stands: it waits for something, or until it is resumed."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.ids import run_member
from stepflow.core.run import Cleanup, Parked, PauseRequest, Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, raw
from stepflow.store.hooks import HookJob, hook_job_keys, hook_queue_keys, write_hook_jobs
from stepflow.store.keys import Keys
from stepflow.store.limits.limited import limited
from stepflow.store.run_hash import format_time, rq_time, write_pause
from stepflow.store.runs.move import Answer, Fence, pause_fields, wip_member


def park_run(
    keys: Keys,
    run: Run,
    fence: Fence,
    *,
    due_at: float | None,
    inbox: int | None,
    waits_for: str,
    now: float,
    cleanup: Cleanup = Cleanup.NONE,
    expects: bytes = b"",
    commands: bytes = b"",
    pause: PauseRequest | None = None,
) -> Call[Answer]:
    """
    Close the present step and let the run stand until its due time or its inbox wakes it.

    The inbox does once it holds more than the *inbox* that the step has seen; None waits for
    *due_at* alone. With *pause* it stands until it is resumed, and waits for them then. Answers as
    `keep_step`, or [NOT_YET].
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.WAITING, "step", run.step + 1, "failures", 0,
        "crashes", 0, "handoff", 0, "delivery", keys.rq_id(run.next_delivery(run.step + 1)), "due",
        format_time(due_at), "token", "", "claimed_id", "", "updated", format_time(now), "parked",
        Parked.DUE if inbox is None else Parked.INBOX, "waits_for", waits_for[:60],
    ]  # fmt: skip
    if cleanup is not run.cleanup:
        fields += ("cleanup", int(cleanup))
    if pause is not None:
        fields += (
            "state", RunState.PAUSED, "delivery", "", "due", "", "parked", "", *write_pause(pause)
        )  # fmt: skip
    return scripts.PARK_RUN.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "memo": f"{base}:memo",
            "claims": keys.claims, "claimed_job": keys.rq_job(run.claimed_rq_id),
            "wip": keys.rq_wip(queue), "due": keys.due, "wake": keys.wake_of(run.queue),
        },
        args={
            "rev": run.rev, "token": fence.token, "fence": fence.name,
            "inbox": "" if inbox is None else inbox, "member": run_member(run.id),
            "wip_member": wip_member(run), "due": format_time(due_at), "expects": expects,
            "open": commands,
        },
        lists={
            "fields": fields, "records": fence.records(), "limited": limited(keys, run, now),
        },
    )  # fmt: skip


def pause_run(
    keys: Keys, run: Run, fence: Fence, *, reason: str, now: float, hooks: Sequence[HookJob] = ()
) -> Call[Answer]:
    """
    Let the run stand at its present step until it is resumed, and tell *hooks*.

    Answers as `keep_step`.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.PAUSED, "delivery", "", "due", "", "token", "",
        "claimed_id", "", "updated", format_time(now), "parked", "", "waits_for", "resume",
        *pause_fields(run),
    ]  # fmt: skip
    return scripts.PAUSE_RUN.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "claims": keys.claims,
            "claimed_job": keys.rq_job(run.claimed_rq_id or run.delivery),
            "wip": keys.rq_wip(queue), **hook_queue_keys(keys),
        },
        args={
            "rev": run.rev, "token": fence.token, "fence": fence.name, "member": run_member(run.id),
            "wip_member": wip_member(run), "reason": reason, "now": format_time(now),
            "rq_time": rq_time(now), "ns": keys.namespace, "hook_queue": keys.hook_queue,
        },
        lists={
            "fields": fields, "records": fence.records(), "hooks": write_hook_jobs(hooks),
            "limited": limited(keys, run, now),
        },
        key_lists={"hook": hook_job_keys(keys, hooks)},
    )  # fmt: skip
