"""What a script is given that may wake a waiting run: `lua/lib/wake.lua` delivers it at once."""

from __future__ import annotations

from typing import NamedTuple

from stepflow.core.ids import run_member
from stepflow.core.run import Run, RunState
from stepflow.store.calls import Part
from stepflow.store.channel import ChannelMessage
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time, rq_time


class Wake(NamedTuple):
    """Keys and arguments, by name."""

    keys: dict[str, str]
    args: dict[str, Part]


def wake(keys: Keys, run: Run, now: float) -> Wake:
    """Give what delivers *run* at unix time *now*, and tells the worker that has it."""
    queue = keys.queue_of(run)
    return Wake(
        {
            "run": keys.run(run.id),
            "list": keys.rq_list(queue),
            "queued_at": keys.queued_at(queue),
            "wake": keys.wake_of(run.queue),
            "due": keys.due,
            "scheduled": keys.rq_scheduled(queue),
        },
        {
            "member": run_member(run.id),
            "now": format_time(now),
            "rq_time": rq_time(now),
            "ns": keys.namespace,
            "queue": queue,
            "pending": RunState.PENDING,
            "channels": keys.tell_channel(""),
            "message": ChannelMessage(run.id).write(),
        },
    )
