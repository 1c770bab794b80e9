"""
Calls that move a run: one for each kind of transition.

`core/transitions.py` decides which; these write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from stepflow.core.ids import run_member, worker_of
from stepflow.core.journal import start_entry
from stepflow.core.run import Cleanup, Parked, PauseRequest, Run, RunState, StopRequest
from stepflow.core.step_record import closed_name
from stepflow.store import scripts
from stepflow.store.calls import NO_HASH, Call, Part, command, flat_map, load_hash, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.family_update import NO_UPDATE, FamilyUpdate, children_keys
from stepflow.store.hooks import (
    MOST_UNTOLD,
    HookJob,
    hook_job_keys,
    hook_queue_keys,
    write_hook_jobs,
)
from stepflow.store.indexes.places import expiry_member, places
from stepflow.store.keys import LIVE, RQ_QUEUES, Keys
from stepflow.store.run_hash import (
    NO_PAUSE,
    format_time,
    mended,
    read_run,
    rq_time,
    stop_fields,
    write_new,
    write_pause,
)

#: answers of the deciding scripts: written; the run is not as the caller saw it; written before, by
#: this very command; not parked, for the inbox holds what the step has not seen
DONE, STALE, AGAIN, NOT_YET = 1, 0, 2, 3
#: one of them, and what goes with it: lengths of lists, or the rev and the token that stand there
Answer = list[int | bytes]

#: seconds: a delivery due within this time has its RQ job already, a later one gets it when it is
#: due
BRIEF_S = 60.0


@dataclass(frozen=True, slots=True)
class Writes:
    """
    What a step writes beside its outcome.

    Keys of the run's own space to delete, and flat key, value, key, value.
    """

    deleted: Sequence[str] = ()
    written: Sequence[Part] = ()


NO_WRITES = Writes()


class Fence(NamedTuple):
    """
    Who moves the run.

    A worker by its claim token and the step record it writes, or an outsider by a request id.
    """

    token: str
    name: str
    record: str = ""
    #: text of a time by which the lease must have run out, for recovery
    lapsed: str = ""
    #: where an outsider writes the record; a worker's own is *name*
    record_name: str = ""

    def records(self) -> Sequence[Part]:
        """Give the step record to write, by name; none where there is none."""
        return (self.record_name or self.name, self.record) if self.record else ()


def _flow_keys(base: str) -> dict[str, str]:
    """Give the keys of what a workflow keeps beside the record of its run."""
    same = ("journal", "mail", "sent", "questions", "replies")
    ends = {**{name: name for name in same}, "variables": "vars", "output": "out"}
    return {name: f"{base}:{end}" for name, end in ends.items()}


def _pause_fields(run: Run, pause: PauseRequest | None = None) -> Sequence[Part]:
    """Write *pause*, or take the request that the run holds out of its record."""
    if pause is not None:
        return write_pause(pause)
    return () if run.pause is None else NO_PAUSE


def wip_member(run: Run) -> str:
    """Name the claim of *run* as RQ's registry of started jobs holds it."""
    return f"{run.claimed_rq_id}:{run.token}"


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
            "kv": f"{base}:kv", **_flow_keys(base), "job": keys.rq_job(run.delivery),
            "list": keys.rq_list(queue), "queued_at": keys.queued_at(queue),
            "wake": keys.wake_of(run.queue), "rq_queues": RQ_QUEUES, "live": keys.live,
            "live_of": keys.runner_index(LIVE, run.runner), "deadlines": keys.deadlines,
            "due": keys.due, "scheduled": keys.rq_scheduled(queue), "expiry": keys.expiry,
            "old_ended": keys.ended_index(old.state),
            "old_of": keys.runner_index(old.state, old.runner),
        },
        {
            "request": request, "replaces": "" if replaces is None else replaces.rev,
            "member": run_member(run.id), "run_id": run.id,
            "created": created, "due": format_time(run.due_at), "rq_id": run.delivery,
            "queue": queue, "rq_time": rq_time(run.created_at), "ns": keys.namespace,
            "deadline": format_time(run.deadline_at),
            "is_brief": _brief(run.due_at, run.created_at), "expired": expiry_member(old),
        },
        {
            "fields": (*write_new(run, keys), "submit_id", request),
            "data": (*data, "tags", "\n".join(tags)) if tags else data, "fork": (),
        },
        {"source": (), "tag": [keys.tag_index(tag) for tag in tags]},
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
) -> Call[Answer]:
    """
    Give the run back: *step* waits in its queue, or in the due set until *due_at*.

    With *pause* it stands instead, until it is resumed. With *restarts* above 0 it begins a new
    history: its journal and step records go. *last_error* is what the attempt failed with. Answers
    as `keep_step`.
    """
    base, queue, time = keys.run(run.id), keys.queue_of(run), format_time(now)
    delivery = run.next_delivery(step)
    rq_id, due = "" if pause else keys.rq_id(delivery), format_time(due_at)
    old_rq_id = run.claimed_rq_id or run.delivery
    fields: list[Part] = [
        "rev", run.rev + 1, "state", state, "step", step, "failures", failures, "crashes", crashes,
        "handoff", delivery.handoff, "delivery", rq_id, "due", due, "token", "", "claimed_id", "",
        "updated", time, *_pause_fields(run, pause),
    ]  # fmt: skip
    if not fence.token:
        fields += ("request", fence.name, "parked", "")
    if stop is not None:
        fields += stop_fields(stop)
    if cleanup > run.cleanup:
        fields += ("cleanup", int(cleanup))
    if restarts:
        fields += ("journal", 1, *(() if run.has_children else ("cleanup", int(Cleanup.NONE))))
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
            "is_brief": _brief(due_at or 0.0, now), "drop_memo": int(drop_memo), "run_id": run.id,
            "start": start_entry(restarts, now, step) if restarts else "", "old_rq_id": old_rq_id,
        },
        lists={
            "deleted": effects.deleted, "written": effects.written, "fields": fields,
            "data": _changed(payload=payload, last_error=last_error), "records": fence.records(),
        },
    )  # fmt: skip


def _changed(**data: bytes | str | None) -> list[Part]:
    """Write those fields of a run's data that have changed."""
    return [part for name, value in data.items() if value is not None for part in (name, value)]


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
    stopped_by: str = "",
    output_ttl_s: float | None = None,
) -> Call[Answer]:
    """
    End the run: record, indexes, times to live, hooks, family, waiters. Answers as `keep_step`.

    A record that could not be read can be from then on. *stopped_by* is who ended it, for an end
    by hand. *untold* notes the end for hooks of its app
    that nobody has announced; STALE as well when somebody has by now.
    The output stream may live shorter than the record: for *output_ttl_s*.
    """
    base, queue, time = keys.run(run.id), keys.queue_of(run), format_time(now)
    fields: list[Part] = [
        *mended(run, keys, now), "rev", run.rev + 1, "state", state, "token", "", "claimed_id", "",
        "delivery", "", "due", "", "ended", time, "updated", time, "ends", run.ends + 1,
        *_pause_fields(run),
    ]  # fmt: skip
    if failures is not None:
        fields += ("failures", failures)
    fields += ("stop_by", stopped_by) if stopped_by else ()
    fields += () if fence.token else ("request", fence.name)
    return scripts.FINISH_RUN.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "kv": f"{base}:kv",
            "memo": f"{base}:memo", "claims": keys.claims,
            "claimed_job": keys.rq_job(run.claimed_rq_id or run.delivery),
            "wip": keys.rq_wip(queue), **places(keys, run.runner, state), "deadlines": keys.deadlines, "due": keys.due,
            "scheduled": keys.rq_scheduled(queue), "queued_at": keys.queued_at(queue),
            **hook_queue_keys(keys), **_flow_keys(base), "questions_index": keys.questions,
        },
        args={
            "rev": run.rev_held, "token": fence.token, "fence": fence.name, "lapsed": fence.lapsed,
            "member": run_member(run.id), "wip_member": wip_member(run), "delivery": run.delivery,
            "run_id": run.id, "ttl_s": max(1, int(ttl_s)), "expires_at": format_time(now + ttl_s),
            "output_ttl_s": max(1, int(min(ttl_s, output_ttl_s or ttl_s))),
            "expiry_member": f"{state}|{run.runner}|{run.id}", "has_tags": int(run.has_tags),
            "has_deadline": int(bool(run.deadline_at or run.stop or run.damage)),
            "channel": keys.done_channel(run.id), "message": state, "now": time,
            "rq_time": rq_time(now), "ns": keys.namespace, "hook_queue": keys.hook_queue,
        },
        lists={
            "deleted": effects.deleted, "written": effects.written, "fields": fields, "data": data,
            "records": fence.records(), "hooks": write_hook_jobs(hooks),
            "stop_hook": update.stop_hook, "parent": update.parent,
            "note": () if untold is None else (run.runner, untold, MOST_UNTOLD),
        },
        key_lists={
            "hook": hook_job_keys(keys, hooks), "own": update.own_keys,
            "parent": update.parent_keys,
            "note": () if untold is None else (keys.app_hooks, keys.untold(run.runner)),
        },
    )  # fmt: skip


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


def _brief(due_at: float, now: float) -> int:
    return 1 if due_at - now <= BRIEF_S else 0


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
        lists={"fields": fields, "records": fence.records()},
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
        *_pause_fields(run),
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
        lists={"fields": fields, "records": fence.records(), "hooks": write_hook_jobs(hooks)},
        key_lists={"hook": hook_job_keys(keys, hooks)},
    )  # fmt: skip


def load_run(keys: Keys, run_id: str) -> Call[Run | None]:
    """Read the run's row; None when there is none. What cannot be read is said in its `damage`."""
    return command(
        "HGETALL", keys.run(run_id),
        read=lambda reply: read_run(run_id, flat_map(reply), keys) if reply else None,
        misfit=lambda: read_run(run_id, NO_HASH, keys),
    )  # fmt: skip


def load_data(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's payload, result, error and spec, packed."""
    return load_hash(f"{keys.run(run_id)}:data")


def load_spec(keys: Keys, run_id: str) -> Call[bytes | None]:
    """Read what the run kept of its submit, packed: headers, parent and others."""
    return command("HGET", f"{keys.run(run_id)}:data", "spec", read=raw, misfit=lambda: None)


def load_steps(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's step records."""
    return load_hash(f"{keys.run(run_id)}:steps")


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
    if run.stopped_by:
        fields += ("stop_by", "")
    kept = _flow_keys(base)
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
            "expiry_member": expiry_member(run), "step": closed_name(run.step),
        },
        lists={"forget": forget, "fields": fields},
        key_lists={
            "rest": (
                f"{base}:kv",
                f"{base}:memo",
                *kept.values(),
                *children_keys(keys, run.id, run.generation),
            )
        },
    )  # fmt: skip
