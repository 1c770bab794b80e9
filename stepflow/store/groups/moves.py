"""Calls that move groups: written, begun member by member, moved on, mended, forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stepflow.core.fanout.group import GroupState
from stepflow.core.ids import group_member
from stepflow.core.run import Run
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, nothing
from stepflow.store.groups.member import parts_of, some_parts
from stepflow.store.groups.record import GroupRecord
from stepflow.store.hooks import HookJob, hook_job_keys, write_hook_jobs
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.run_hash import format_time, rq_time
from stepflow.store.runs.submit import submission

#: answers of submit_member: begun now, begun before, a different run has the id, none begins now
BEGUN, BEGUN_BEFORE, REFUSED, NOT_NOW = 1, 2, 3, 0
#: stands for the answer that another manifest has the name
OTHER_MANIFEST = -1
#: added to the score of a live member that was asked to stop, so that it stands behind the others
ASKED = 1e12


def write_slice(
    keys: Keys,
    group: GroupRecord,
    at: int,
    name: bytes,
    spec: bytes,
    *,
    ttl_s: float,
    due_at: float,
) -> Call[int]:
    """
    Write slice *at* of a manifest; the last one has the group begin.

    Gives how many are written, or OTHER_MANIFEST.
    """
    return scripts.WRITE_SLICE.call(
        int,
        keys={
            **some_parts(keys, group.id, "group", "names", "specs"), "groups": keys.groups,
            "due": keys.due,
        },
        args={
            "group_id": group.id, "member": group_member(group.id), "digest": group.digest,
            "at": at, "slices": group.slices, "ttl_s": max(1, int(ttl_s)),
            "submitting": GroupState.SUBMITTING, "created": format_time(group.created_at),
            "due_at": format_time(due_at), "name": name, "spec": spec,
        },
        lists={"fields": group.fields()},
    )  # fmt: skip


def submit_member(
    keys: Keys, run: Run, index: int, *, request: str, data: Sequence[Part], tags: Sequence[str]
) -> Call[int]:
    """Begin *run* as member *index* of its group; gives one of the answers above."""
    made = submission(keys, run, request=request, data=data, tags=tags)
    return scripts.SUBMIT_MEMBER.call(
        int,
        keys={
            **made.keys,
            **some_parts(keys, run.group, "group", "begun", "group_live", "group_failed"),
        },
        args={
            **made.args, "submitting": GroupState.SUBMITTING, "group_id": run.group,
            "index": index, "runner": run.runner_key, "digest": run.digest,
        },
        lists=made.lists,
        key_lists=made.key_lists,
    )  # fmt: skip


def advance_group(
    keys: Keys,
    group: GroupRecord,
    *,
    rev: int,
    request: str,
    now: float,
    queue: str = "default",
    due_at: float | None = None,
    ttl_s: float | None = None,
    hooks: Sequence[HookJob] = (),
) -> Call[bool]:
    """
    Write *group* over the one at *rev*; False when it has changed.

    Somebody looks at it at *due_at*, and when its members settle it. One that has ended lives for
    *ttl_s*. An idle worker of *queue* is told.
    """
    hook_queue = keys.hook_queue
    drops = group.state not in (GroupState.SUBMITTING, GroupState.WRITING)
    return scripts.ADVANCE_GROUP.call(
        bool,
        keys={
            **parts_of(keys, group.id), "due": keys.due, "group_wake": keys.wake_of(queue),
            "list": keys.rq_list(hook_queue), "queued_at": keys.queued_at(hook_queue),
            "wake": keys.wake(hook_queue), "live_hooks": keys.live_hooks, "rq_queues": RQ_QUEUES,
        },
        args={
            "rev": rev, "request": request, "member": group_member(group.id),
            "due_at": format_time(due_at), "ttl_s": "" if ttl_s is None else max(1, int(ttl_s)),
            "drops_specs": int(drops), "now": format_time(now), "rq_time": rq_time(now),
            "ns": keys.namespace, "queue": hook_queue, "message": group.state,
            "channel": keys.done_channel(group_member(group.id)),
        },
        lists={"fields": group.fields(), "hooks": write_hook_jobs(hooks)},
        key_lists={"hook": hook_job_keys(keys, hooks)},
    )  # fmt: skip


def mend_member(
    keys: Keys, group_id: str, run_id: str, *, now: float, queue: str = "default"
) -> Call[bool]:
    """Count the end of a member that only seems to live; False when it does."""
    return scripts.MEND_MEMBER.call(
        bool,
        keys={
            "run": keys.run(run_id),
            **some_parts(keys, group_id, "group", "group_live", "group_failed"),
            "due": keys.due, "wake": keys.wake_of(queue),
        },
        args={
            "run_id": run_id, "group_id": group_id, "gone": "gone", "now": format_time(now),
            "ns": keys.namespace,
        },
    )  # fmt: skip


def recount_group(
    keys: Keys,
    group_id: str,
    expected: Mapping[str, int],
    counts: Mapping[str, int],
    *,
    now: float,
    queue: str = "default",
) -> Call[bool]:
    """Write the counts of a group anew; False when they are not as *expected*."""
    return scripts.RECOUNT_GROUP.call(
        bool,
        keys={
            **some_parts(keys, group_id, "group", "group_live"), "due": keys.due,
            "wake": keys.wake_of(queue),
        },
        args={"now": format_time(now), "ns": keys.namespace},
        lists={
            "words": list(counts), "expected": [expected[word] for word in counts],
            "counts": list(counts.values()),
        },
    )  # fmt: skip


def forget_group(keys: Keys, group_id: str, *, rev: int) -> Call[bool]:
    """Forget a group that is at *rev*; False when it has changed."""
    return scripts.FORGET_GROUP.call(
        bool,
        keys={**parts_of(keys, group_id), "groups": keys.groups, "due": keys.due},
        args={"rev": rev, "group_id": group_id, "member": group_member(group_id)},
    )


def hold(keys: Keys, group_id: str, until: float) -> Call[None]:
    """Have nobody else look at a group that is due, until then."""
    member = group_member(group_id)
    return command("ZADD", keys.due, "XX", format_time(until), member, read=nothing)


def put_due(keys: Keys, group_id: str, due_at: float) -> Call[bool]:
    """Have somebody look at a group; False when it is due already."""
    return command("ZADD", keys.due, "NX", format_time(due_at), group_member(group_id), read=bool)


def drop_due(keys: Keys, group_id: str) -> Call[None]:
    """Take a group that is gone, or cannot be read, out of the due set."""
    return command("ZREM", keys.due, group_member(group_id), read=nothing)


def drop_name(keys: Keys, group_id: str) -> Call[None]:
    """Take a group that is gone out of the list of groups."""
    return command("ZREM", keys.groups, group_id, read=nothing, misfit=lambda: None)


def note_asked(keys: Keys, group_id: str, run_ids: Sequence[str]) -> Call[None]:
    """Put live members that were asked to stop behind the others."""
    scored: list[Part] = [part for run_id in run_ids for part in (format_time(ASKED), run_id)]
    key = f"{keys.group(group_id)}:live"
    return command("ZADD", key, "XX", *scored, read=nothing, misfit=lambda: None)


def note_tried(keys: Keys, group_id: str, run_ids: Sequence[str], wave: int) -> Call[None]:
    """Leave failed members that cannot be retried to a later wave."""
    scored: list[Part] = [part for run_id in run_ids for part in (wave, run_id)]
    key = f"{keys.group(group_id)}:failed"
    return command("ZADD", key, "XX", *scored, read=nothing, misfit=lambda: None)
