"""A run is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.counts import Counted, field_of
from stepflow.core.ids import run_member
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, flat_map
from stepflow.store.indexes.places import expiry_member
from stepflow.store.keys import LIVE, RQ_QUEUES, Keys
from stepflow.store.run_hash import format_time, rq_time, write_new
from stepflow.store.runs.move import DONE, flow_keys, is_brief


class Submission(NamedTuple):
    """What the scripts that make a run are given for it, by name."""

    keys: dict[str, str]
    args: dict[str, Part]
    lists: dict[str, Sequence[Part]]
    key_lists: dict[str, Sequence[str]]


def submission(
    keys: Keys,
    run: Run,
    *,
    request: str,
    data: Sequence[Part],
    tags: Sequence[str] = (),
    replaces: Run | None = None,
) -> Submission:
    """Give what makes *run*, for the scripts that do; `submit_run` says what it is."""
    base, queue = keys.run(run.id), keys.queue_of(run)
    created, old = format_time(run.created_at), replaces or run
    return Submission(
        {
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "memo": f"{base}:memo",
            "kv": f"{base}:kv", **flow_keys(base), "job": keys.rq_job(run.delivery),
            "list": keys.rq_list(queue), "queued_at": keys.queued_at(queue),
            "wake": keys.wake_of(run.queue), "rq_queues": RQ_QUEUES, "live": keys.live,
            "live_of": keys.runner_index(LIVE, run.runner), "deadlines": keys.deadlines,
            "due": keys.due, "scheduled": keys.rq_scheduled(queue), "expiry": keys.expiry,
            "old_ended": keys.ended_index(old.state),
            "old_of": keys.runner_index(old.state, old.runner),
            "counts": keys.new_counts,
        },
        {
            "request": request, "replaces": "" if replaces is None else replaces.rev,
            "member": run_member(run.id), "run_id": run.id,
            "created": created, "due": format_time(run.due_at), "rq_id": run.delivery,
            "queue": queue, "lane": run.lane, "rq_time": rq_time(run.created_at),
            "ns": keys.namespace, "deadline": format_time(run.deadline_at),
            "is_brief": is_brief(run.due_at, run.created_at), "expired": expiry_member(old),
            "counted": field_of(Counted.SUBMITTED, run.runner),
        },
        {
            "fields": (*write_new(run, keys), "submit_id", request),
            "data": (*data, "tags", "\n".join(tags)) if tags else data, "fork": (),
        },
        {
            "source": (), "tag": [keys.tag_index(tag) for tag in tags],
            "level": keys.level_of(run),
        },
    )  # fmt: skip


def submit_run(
    keys: Keys,
    run: Run,
    *,
    request: str,
    data: Sequence[Part],
    tags: Sequence[str] = (),
    replaces: Run | None = None,
) -> Call[dict[bytes, bytes] | None]:
    """
    Make the run with its first delivery.

    Gives None when it was made, else the hash of the run that is there. *run* has the delivery and
    due time, *tags* are written `key=value`; *replaces* is the ended run of the generation before,
    which must be unchanged.
    """
    made = submission(keys, run, request=request, data=data, tags=tags, replaces=replaces)
    return scripts.SUBMIT_RUN.call(
        read_submit,
        keys=made.keys,
        args=made.args,
        lists=made.lists,
        key_lists=made.key_lists,
    )


def read_submit(reply: Any) -> dict[bytes, bytes] | None:
    """Read the answer of `submit_run`."""
    return None if reply[0] == DONE else flat_map(reply[1])
