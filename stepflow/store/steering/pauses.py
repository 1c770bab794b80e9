"""Calls for runs that somebody pauses: ask a running one, put a resumed one back where it stood."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.ids import run_member, worker_of
from stepflow.core.run import PauseRequest, Run, RunState, Standing
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.keys import Keys
from stepflow.store.limits.limited import limited
from stepflow.store.run_hash import NO_PAUSE, format_time, write_pause
from stepflow.store.runs import Answer


def mark_pause(
    keys: Keys, run: Run, pause: PauseRequest | None, *, request: str, now: float
) -> Call[Answer]:
    """
    Ask that a run which a worker has claimed stand after its present step; None takes that back.

    Answers as `keep_step`.
    """
    fields: list[Part] = [
        "rev", run.rev + 1, "updated", format_time(now), "request", request,
        *(NO_PAUSE if pause is None else write_pause(pause)),
    ]  # fmt: skip
    return scripts.MARK_RUN.call(
        raw,
        keys={"run": keys.run(run.id), "deadlines": keys.deadlines},
        args={
            "rev": run.rev, "request": request, "run_id": run.id, "look_again_at": "as before",
            "channel": keys.tell_channel(worker_of(run.token)),
            "message": ChannelMessage(run.id, lets_go=True).write(),
        },
        lists={"fields": fields},
    )  # fmt: skip


def load_waits(keys: Keys, run_id: str) -> Call[list[bytes]]:
    """Read what the signals of a parked run must look like, and its commands; empty for none."""
    return command(
        "HMGET", f"{keys.run(run_id)}:data", "expects", "open",
        read=lambda reply: [part or b"" for part in reply], misfit=lambda: [b"", b""],
    )  # fmt: skip


def park_again(
    keys: Keys, run: Run, stood: Standing, waits: Sequence[bytes], *, request: str, now: float
) -> Call[Answer]:
    """
    Have a paused run wait again for what it waited for, its *waits* as `load_waits` read them.

    Answers as `keep_step`, or [NOT_YET] when something came into its inbox since the caller looked.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    expects, commands = waits
    is_on_inbox = stood.parked == "inbox"
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.WAITING, "delivery",
        keys.rq_id(run.next_delivery(run.step)), "handoff", run.handoff + 1, "due",
        format_time(stood.due_at), "parked", stood.parked, "updated", format_time(now), "request",
        request, *NO_PAUSE,
    ]  # fmt: skip
    return scripts.PARK_RUN.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "memo": f"{base}:memo",
            "claims": keys.claims, "claimed_job": keys.rq_job(""), "wip": keys.rq_wip(queue),
            "due": keys.due, "wake": keys.wake_of(run.queue),
        },
        args={
            "rev": run.rev, "token": "", "fence": request,
            "inbox": stood.inbox if is_on_inbox else "", "member": run_member(run.id),
            "wip_member": "", "due": format_time(stood.due_at), "expects": expects,
            "open": commands,
        },
        lists={"fields": fields, "records": (), "limited": limited(keys, run, now)},
    )  # fmt: skip
