"""A run is asked to end, ends, and is taken up again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from stepflow.core.fanout.group import GroupState
from stepflow.core.ids import run_member, worker_of
from stepflow.core.run import Run, RunState, StopRequest
from stepflow.core.step_record import closed_name
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.family_update import NO_UPDATE, FamilyUpdate, children_keys
from stepflow.store.groups.member import ended_member_keys, reopened_keys
from stepflow.store.hooks import (
    MOST_UNTOLD,
    HookJob,
    hook_job_keys,
    hook_queue_keys,
    write_hook_jobs,
)
from stepflow.store.indexes.places import expiry_member, places
from stepflow.store.keys import Keys
from stepflow.store.limits.limited import limited
from stepflow.store.run_hash import format_time, mended, rq_time, stop_fields
from stepflow.store.runs.move import (
    NO_WRITES,
    Answer,
    Fence,
    Writes,
    counts_keys,
    flow_keys,
    pause_fields,
    wip_member,
)
from stepflow.store.runs.to_archive import ends_key


def mark_run(
    keys: Keys,
    run: Run,
    stop: StopRequest,
    *,
    request: str,
    look_again_at: float | None,
    now: float,
) -> Call[Answer]:
    """
    Write *stop* into the record of a run that a worker has claimed, and notify that worker.

    Answers as `keep_step`.
    """
    fields: list[Part] = [
        "rev", run.rev + 1, *stop_fields(stop), "updated", format_time(now), "request", request,
    ]  # fmt: skip
    return scripts.MARK_RUN.call(
        raw,
        keys={"run": keys.run(run.id), "deadlines": keys.deadlines},
        args={
            "rev": run.rev, "request": request, "run_id": run.id,
            "look_again_at": format_time(look_again_at),
            "channel": keys.tell_channel(worker_of(run.token)),
            "message": ChannelMessage(run.id, stop).write(),
        },
        lists={"fields": fields},
    )  # fmt: skip


def finish_run(
    keys: Keys,
    run: Run,
    fence: Fence,
    *,
    state: RunState,
    now: float,
    ttl_s: float,
    failures: int | None = None,
    data: Sequence[Part] = (),
    effects: Writes = NO_WRITES,
    hooks: Sequence[HookJob] = (),
    update: FamilyUpdate = NO_UPDATE,
    untold: bytes | None = None,
    archived: bytes | None = None,
    stopped_by: str = "",
    output_ttl_s: float | None = None,
    keeps_all: bool = True,
    counted: Sequence[str] = (),
) -> Call[Answer]:
    """
    End the run: record, indexes, times to live, hooks, family, waiters. Answers as `keep_step`.

    A record that could not be read can be from then on. *stopped_by* is who ended it, for an end
    by hand. *archived* notes it for the archive, *untold* for hooks of its app that nobody has
    announced; STALE if somebody has. The output stream may live shorter than the record: for
    *output_ttl_s*; unless it *keeps_all*, only its input and its end stay. *counted* are the counts
    that this adds to: what a worker ends, it counts itself.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields = _end_fields(run, keys, state, now, failures, stopped_by)
    fields += () if fence.token else ("request", fence.name)
    fields += () if keeps_all else ("cleared", 1)
    fields += ("to_archive", 1) if archived else ()
    return scripts.FINISH_RUN.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "kv": f"{base}:kv",
            "memo": f"{base}:memo", "claimed_job": keys.rq_job(run.claimed_rq_id or run.delivery),
            **flow_keys(base), **_shared_keys(keys, queue, run.runner, state),
        },
        args={
            "rev": run.rev_held, "token": fence.token, "fence": fence.name, "lapsed": fence.lapsed,
            "member": run_member(run.id), "wip_member": wip_member(run), "delivery": run.delivery,
            "run_id": run.id, "ttl_s": max(1, int(ttl_s)), "expires_at": format_time(now + ttl_s),
            "output_ttl_s": max(1, int(min(ttl_s, output_ttl_s or ttl_s))), "ns": keys.namespace,
            "keeps_all": int(keeps_all), "expiry_member": f"{state}|{run.runner}|{run.id}",
            "has_tags": int(run.has_tags), "has_deadline": int(_has_deadline(run)),
            "channel": keys.done_channel(run.id), "message": state, "now": format_time(now),
            "rq_time": rq_time(now), "hook_queue": keys.hook_queue,
        },
        lists={
            "deleted": effects.deleted, "written": effects.written, "fields": fields, "data": data,
            "records": fence.records(), "hooks": write_hook_jobs(hooks),
            "stop_hook": update.stop_hook, "parent": update.parent, "counted": counted,
            "note": () if untold is None else (run.runner, untold, MOST_UNTOLD),
            "limited": limited(keys, run, now, has_ended=True), "archived": _given(archived),
        },
        key_lists={
            "hook": hook_job_keys(keys, hooks), "own": update.own_keys,
            "parent": update.parent_keys, "counts": counts_keys(keys, counted),
            "note": () if untold is None else (keys.app_hooks, keys.untold(run.runner)),
            **_kept_for(keys, run), "group": ended_member_keys(keys, run),
            "archive": _given(archived and ends_key(keys)),
        },
    )  # fmt: skip


@lru_cache(maxsize=1000)
def _shared_keys(keys: Keys, queue: str, runner: str, state: RunState) -> Mapping[str, str]:
    """Give the keys that the ends of a runner have in common: thousands come in a second."""
    return {
        "claims": keys.claims, **hook_queue_keys(keys), "wip": keys.rq_wip(queue),
        "deadlines": keys.deadlines, "due": keys.due, **places(keys, runner, state),
        "scheduled": keys.rq_scheduled(queue), "questions_index": keys.questions,
    }  # fmt: skip


def _given(one: Part | None) -> Sequence[Any]:
    return () if one is None else (one,)


def _end_fields(
    run: Run, keys: Keys, state: RunState, now: float, failures: int | None, stopped_by: str
) -> list[Part]:
    """Give the fields of a record that ends: nothing of it stands anywhere any more."""
    time = format_time(now)
    fields: list[Part] = [
        *mended(run, keys, now), "rev", run.rev + 1, "state", state, "token", "", "claimed_id", "",
        "delivery", "", "due", "", "ended", time, "updated", time, "ends", run.ends + 1,
        *pause_fields(run), *(("held", "") if run.held else ()),
    ]  # fmt: skip
    fields += () if failures is None else ("failures", failures)
    fields += ("stop_by", stopped_by) if stopped_by else ()
    return fields


def _has_deadline(run: Run) -> bool:
    """Whether the set of deadlines may hold a run: it also holds what was asked to stop."""
    return bool(run.deadline_at or run.stop or run.damage)


def _kept_for(keys: Keys, run: Run) -> dict[str, Sequence[str]]:
    """Give what stands for a run until it ends, and by what its schedule hears of its end."""
    of_schedule = (keys.schedule(run.schedule), keys.wake_of(run.queue)) if run.schedule else ()
    return {"schedule": of_schedule, "queued": keys.marks_of(run), "once": keys.once_of(run)}


def retry_run(
    keys: Keys, run: Run, *, request: str, now: float, forget: Sequence[bytes] = ()
) -> Call[Answer]:
    """
    Hand over the last step of an ended run again, attempts fresh, its deadline and stop forgotten.

    *forget* are journal entries that go: the failure that ended it, should it have remembered one.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    rq_id = keys.rq_id(run.next_delivery(run.step))
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.PENDING, "failures", 0, "crashes", 0, "handoff",
        run.handoff + 1, "due", "", "delivery", rq_id, "parked", "", "stop", "", "ended", "",
        "deadline", "", "updated", format_time(now), "request", request,
    ]  # fmt: skip
    fields += ("stop_by", "") if run.stopped_by else ()
    fields += ("to_archive", "") if run.is_to_archive else ()
    kept = flow_keys(base)
    journal = kept.pop("journal")
    return scripts.RETRY_RUN.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "journal": journal,
            "job": keys.rq_job(rq_id), "list": keys.rq_list(queue),
            "queued_at": keys.queued_at(queue), "wake": keys.wake_of(run.queue),
            **places(keys, run.runner, run.state),
        },
        args={
            "rev": run.rev, "request": request, "run_id": run.id, "member": run_member(run.id),
            "created": format_time(run.created_at), "rq_id": rq_id, "now": format_time(now),
            "rq_time": rq_time(now), "ns": keys.namespace, "queue": queue,
            "lane": run.lane,
            "expiry_member": expiry_member(run), "step": closed_name(run.step),
            "reopened": GroupState.RUNNING,
        },
        lists={"forget": forget, "fields": fields},
        key_lists={
            "rest": (
                f"{base}:kv",
                f"{base}:memo",
                *kept.values(),
                *children_keys(keys, run.id, run.generation),
            ),
            "once": keys.once_of(run), "group": reopened_keys(keys, run),
        },
    )  # fmt: skip
