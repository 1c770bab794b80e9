"""Calls of the rounds, which look after all runs: what came due, what lapsed, what has expired."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.core.ids import (
    group_of_member,
    hook_member,
    limited_of_member,
    run_member,
    schedule_of_member,
)
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, flat_map, nothing
from stepflow.store.claims import QueueSource, as_text
from stepflow.store.hooks import DEAD, HookRecord
from stepflow.store.indexes.old import old_ended_indexes, old_expiry
from stepflow.store.keys import RQ_SUSPENDED, Keys
from stepflow.store.limits.limited import limited
from stepflow.store.run_hash import format_time, rq_time

#: seconds after which another worker looks at a schedule that was due, should the first be gone
AGAIN_S = 2.0


class MaintenanceScan(NamedTuple):
    """
    What the once-a-second look found; lists hold at most 50.

    *is_new* says that Redis did not know of the worker: it has just begun, was silent for long, or
    Redis lost its data.
    """

    now: float
    suspended: bool
    live_workers: int
    next_due: float | None
    lapsed: list[str]
    overdue: list[str]
    waiting_lists: list[str]
    expired: bool
    missing: list[str]
    #: what named nothing of ours and was taken out of an index: "<index> <member>"
    strays: list[str]
    #: live runs that an index had lost, and that stand in it again
    restored: list[str]
    #: (parent, child on its list whose record is gone)
    orphans: list[tuple[str, str]]
    is_new: bool = False
    #: the queues that somebody paused, as RQ names them without a priority
    paused_queues: frozenset[str] = frozenset()
    #: whether indexes of the version before hold anything
    has_old: bool = False
    #: the RQ queues of priorities without a name that are in use
    levels: frozenset[str] = frozenset()
    #: the schedule that is due next, where the next thing due is one
    next_schedule: str | None = None


class Moved(NamedTuple):
    """
    What a look into the due set did: how many it *moved*, when the next is due.

    *strays* named nothing and are out of the set; *damaged* have records that do not say where they
    belong. *moved* counts *schedules* and *groups*
    as well.
    """

    now: float
    moved: int
    next_due: float | None
    strays: list[str]
    damaged: list[str]
    #: the ids of the schedules whose time has come, and of the groups
    schedules: list[str]
    groups: list[str] = []  # noqa: RUF012  never changed
    #: `<limit>|<key>` of the lines whose timer has rung
    lines: list[str] = []  # noqa: RUF012  never changed


def move_due(keys: Keys, *, given: str, now: float, limit: int = 100) -> Call[Moved]:
    """Move what has come due into its queue."""
    return scripts.MOVE_DUE.call(
        lambda reply: Moved(
            float(reply[0]),
            reply[1],
            float(reply[2]) if reply[2] else None,
            as_text(reply[3]),
            as_text(reply[4]),
            *_by_kind(as_text(reply[5])),
            [limited_of_member(member) for member in as_text(reply[6])],
        ),
        keys={"due": keys.due},
        args={
            "given": given,
            "ns": keys.namespace,
            "limit": limit,
            "rq_time": rq_time(now),
            "pending": RunState.PENDING,
            "again_s": AGAIN_S,
        },
    )


def _by_kind(members: Sequence[str]) -> tuple[list[str], list[str]]:
    """Give the ids of the schedules among *members*, and of the groups."""
    named = [(schedule_of_member(member), group_of_member(member)) for member in members]
    return [one for one, _ in named if one], [one for _, one in named if one]


def scan_maintenance(
    keys: Keys,
    sources: Sequence[QueueSource],
    queue: str,
    worker: str,
    *,
    given: str,
    silent_s: float,
    dead_s: float,
    lease_s: float = 15.0,
    old_runner_indexes: Sequence[str] = (),
) -> Call[MaintenanceScan]:
    """
    Say that *worker* is alive and see what needs doing.

    A worker silent for *silent_s* no longer counts as live.
    """
    return scripts.SCAN_MAINTENANCE.call(
        _read_scan,
        keys={
            "claims": keys.claims,
            "due": keys.due,
            "deadlines": keys.deadlines,
            "suspended": RQ_SUSPENDED,
            "paused_queues": keys.paused_queues,
            "waiting_lists": keys.waiting_lists,
            "workers": keys.workers(queue),
            "expiry": keys.expiry,
            "dead_hooks": keys.dead_hooks,
            "live": keys.live,
            "levels": keys.levels,
            "laned": keys.laned,
        },
        args={
            "given": given,
            "worker": worker,
            "silent_s": silent_s,
            "prefix": keys.job_prefix,
            "dead_s": dead_s,
            "ns": keys.namespace,
            "lease_s": lease_s,
        },
        key_lists={
            "source": [
                key for source in sources for key in (source.list, source.pending, source.wake)
            ],
            "old": [old_expiry(keys), *old_ended_indexes(keys), *old_runner_indexes],
        },
    )


def _read_scan(reply: Any) -> MaintenanceScan:
    gone = as_text(reply[11])
    return MaintenanceScan(
        now=float(reply[0]),
        suspended=bool(reply[1]),
        live_workers=reply[2],
        next_due=float(reply[3]) if reply[3] else None,
        lapsed=as_text(reply[4]),
        overdue=as_text(reply[5]),
        waiting_lists=as_text(reply[6]),
        expired=bool(reply[7]),
        missing=as_text(reply[8]),
        strays=as_text(reply[9]),
        restored=as_text(reply[10]),
        orphans=list(zip(gone[::2], gone[1::2], strict=True)),
        is_new=bool(reply[12]),
        paused_queues=frozenset(as_text(list(flat_map(reply[13])))),
        has_old=bool(reply[14]),
        levels=frozenset(as_text(reply[15])),
        next_schedule=schedule_of_member(as_text(reply[16:17])[0]) or None,
    )


def sweep_expired(keys: Keys, *, given: str, limit: int, expiry: str | None = None) -> Call[int]:
    """
    Take up to *limit* expired runs out of the indexes; gives how many it looked at.

    *expiry* is the set that tells of them, this version's unless told otherwise.
    """
    return scripts.SWEEP_EXPIRED.call(
        int,
        keys={"expiry": expiry or keys.expiry},
        args={"given": given, "ns": keys.namespace, "limit": limit},
    )


def put_deadline(keys: Keys, run_id: str, deadline_at: float) -> Call[None]:
    """Put the deadline of a run into the index again, unless it stands there."""
    return command("ZADD", keys.deadlines, "NX", format_time(deadline_at), run_id, read=nothing)


def set_aside(keys: Keys, run: Run, *, reason: str, now: float) -> Call[bool]:
    """
    Pause a run whose record is damaged, for *reason*; False when that was repaired meanwhile.

    What a pause writes over is mended by it; every other field stays as it is, for whoever repairs
    it.
    """
    base, queue, damage = keys.run(run.id), keys.queue_of(run), run.damage[0]
    fields: list[Part] = [
        "state", RunState.PAUSED, "delivery", "", "due", "", "token", "", "claimed_id", "",
        "updated", format_time(now), "parked", "", "waits_for", "resume",
    ]  # fmt: skip
    return scripts.SET_ASIDE.call(
        bool,
        keys={
            "run": base,
            "data": f"{base}:data",
            "claims": keys.claims,
            "due": keys.due,
            "deadlines": keys.deadlines,
            "job": keys.rq_job(run.claimed_rq_id or run.delivery),
            "wip": keys.rq_wip(queue),
            "scheduled": keys.rq_scheduled(queue),
        },
        args={
            "member": run_member(run.id),
            "run_id": run.id,
            "damaged": damage.field,
            "found": damage.held,
            "wip_member": f"{run.claimed_rq_id}:{run.token}",
            "rq_id": run.delivery,
            "reason": reason,
        },
        lists={"fields": fields, "limited": limited(keys, run, now)},
        key_lists={"queued": keys.marks_of(run)},
    )


def bury_hook(
    keys: Keys, hook: HookRecord, *, problem: str, now: float, ttl_s: float
) -> Call[bool]:
    """End a delivery as dead whose record is damaged; False when it has ended, or is not kept."""
    queue = keys.hook_queue
    fields: list[Part] = [
        "rev", hook.rev + 1, "state", DEAD, "problem", problem, "token", "", "claimed_id", "",
        "delivery", "", "due", "", "tries", hook.tries, "created", format_time(hook.created_at),
        "run", hook.run_id, "runner", hook.runner,
    ]  # fmt: skip
    return scripts.BURY_HOOK.call(
        bool,
        keys={
            "hook": keys.hook(hook.id),
            "claims": keys.claims,
            "due": keys.due,
            "queued_at": keys.queued_at(queue),
            "dead_hooks": keys.dead_hooks,
            "live_hooks": keys.live_hooks,
            "wip": keys.rq_wip(queue),
            "job": keys.rq_job(hook.claimed_rq_id or hook.delivery),
        },
        args={
            "member": hook_member(hook.id),
            "hook_id": hook.id,
            "died_at": format_time(now),
            "ttl_s": max(1, int(ttl_s)),
            "wip_member": f"{hook.claimed_rq_id}:{hook.token}",
        },
        lists={"fields": fields},
    )
