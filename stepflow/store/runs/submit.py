"""A run is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from stepflow.core.counts import Counted, field_of
from stepflow.core.ids import run_member
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, flat_map, raw
from stepflow.store.indexes.places import expiry_member
from stepflow.store.keys import LIVE, RQ_QUEUES, Keys
from stepflow.store.run_hash import format_time, rq_time, write_new
from stepflow.store.runs.move import DONE, Answer, flow_keys, is_brief

#: the answers of `submit_run` when another run has the key, and when a line is full
_TAKEN, _FULL = 3, 4


#: what a script that makes a run is given of an ended one that it replaces
_REPLACED = scripts.Group("lib/runs/clear_away", "replaced_keys")


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
    ousted: str = "",
    is_bounded: bool = False,
) -> Submission:
    """Give what makes *run*, for the scripts that do; `submit_run` says what it is."""
    base, queue = keys.run(run.id), keys.queue_of(run)
    created = format_time(run.created_at)
    return Submission(
        {
            "run": base, "data": f"{base}:data", "job": keys.rq_job(run.delivery),
            "list": keys.rq_list(queue), "queued_at": keys.queued_at(queue),
            "wake": keys.wake_of(run.queue), "rq_queues": RQ_QUEUES, "live": keys.live,
            "live_of": keys.runner_index(LIVE, run.runner), "deadlines": keys.deadlines,
            "due": keys.due, "scheduled": keys.rq_scheduled(queue), "counts": keys.new_counts,
        },
        {
            "request": request, "replaces": "" if replaces is None else replaces.rev,
            "member": run_member(run.id), "run_id": run.id,
            "created": created, "due": format_time(run.due_at), "rq_id": run.delivery,
            "queue": queue, "lane": run.lane, "rq_time": rq_time(run.created_at),
            "ns": keys.namespace, "deadline": format_time(run.deadline_at),
            "is_brief": is_brief(run.due_at, run.created_at),
            "expired": "" if replaces is None else expiry_member(replaces),
            "counted": field_of(Counted.SUBMITTED, run.runner), "once": run.once,
            "bounded": run.limits if is_bounded else "", "ousted": ousted,
            "waits": int(run.once.startswith("debounce:")),
        },
        {
            "fields": (*write_new(run, keys), "submit_id", request),
            "data": (*data, "tags", "\n".join(tags)) if tags else data, "fork": (),
        },
        {
            "source": (), "tag": [keys.tag_index(tag) for tag in tags],
            "level": keys.level_of(run), "once": keys.once_of(run),
            "replaced": () if replaces is None else _replaced(keys, replaces),
        },
    )  # fmt: skip


def _replaced(keys: Keys, old: Run) -> Sequence[str]:
    """Give the keys of an ended run, and the sets in which it stands."""
    base = keys.run(old.id)
    return _REPLACED.order({
        "expiry": keys.expiry, "old_ended": keys.ended_index(old.state),
        "old_of": keys.runner_index(old.state, old.runner), "steps": f"{base}:steps",
        "memo": f"{base}:memo", "kv": f"{base}:kv", **flow_keys(base),
    })  # fmt: skip


class Taken(NamedTuple):
    """The run that has the key of another: of a singleton, or debounced."""

    run_id: str


class Full(NamedTuple):
    """A limit and key for which so many wait already that no more may."""

    name: str
    key: str
    waiting: int
    most: int


def submit_run(
    keys: Keys,
    run: Run,
    *,
    request: str,
    data: Sequence[Part],
    tags: Sequence[str] = (),
    replaces: Run | None = None,
    ousted: str = "",
) -> Call[dict[bytes, bytes] | Taken | Full | None]:
    """
    Make the run with its first delivery.

    Gives None when it was made, Full where so many wait for a limit of it that no more may, else
    the hash of the run that is there. *run* has the delivery and
    due time, *tags* are written `key=value`; *replaces* is the ended run of the generation before,
    which must be unchanged. *ousted* is the run whose place it takes as a singleton; another one
    that has its key is Taken.
    """
    made = submission(
        keys, run, request=request, data=data, tags=tags, replaces=replaces, ousted=ousted,
        is_bounded=True,
    )  # fmt: skip
    return scripts.SUBMIT_RUN.call(
        _read_made,
        keys=made.keys,
        args=made.args,
        lists=made.lists,
        key_lists=made.key_lists,
    )


def read_submit(reply: Any) -> dict[bytes, bytes] | None:
    """Read the answer of `submit_run` for a fork."""
    return None if reply[0] == DONE else flat_map(reply[1])


def read_bounded(reply: Any) -> dict[bytes, bytes] | Full | None:
    """Read the answer of a script that counts who waits for the limits of the run."""
    if reply[0] == _FULL:
        return Full(reply[1].decode(), unquote(reply[2].decode()), int(reply[3]), int(reply[4]))
    return read_submit(reply)


def _read_made(reply: Any) -> dict[bytes, bytes] | Taken | Full | None:
    return Taken(reply[1].decode()) if reply[0] == _TAKEN else read_bounded(reply)


def put_off(
    keys: Keys,
    run: Run,
    once: str,
    *,
    request: str,
    digest: bytes,
    data: Sequence[Part],
    due_at: float,
    now: float,
) -> Call[Answer]:
    """
    Give a debounced run that is not due yet the payload in *data*, and another due time.

    *once* is what its record says of its key. Gives [DONE], [AGAIN], or [STALE].
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    return scripts.PUT_OFF.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "once": keys.once(once), "due": keys.due,
            "scheduled": keys.rq_scheduled(queue), "wake": keys.wake_of(run.queue),
            "job": keys.rq_job(run.delivery),
        },
        args={
            "run_id": run.id, "rev": run.rev, "request": request, "member": run_member(run.id),
            "due": format_time(due_at), "rq_id": run.delivery, "is_brief": is_brief(due_at, now),
            "ns": keys.namespace, "queue": queue, "rq_time": rq_time(now),
        },
        lists={
            "fields": (
                "rev", run.rev + 1, "due", format_time(due_at), "digest", digest, "updated",
                format_time(now), "request", request,
            ),
            "data": data,
        },
    )  # fmt: skip
