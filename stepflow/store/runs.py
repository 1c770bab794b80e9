"""
Calls that move a run: one for each kind of transition.

What a transition means is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.core.ids import hook_member, run_member, worker_of
from stepflow.core.journal import start_entry
from stepflow.core.run import Cleanup, Run, RunState, StopRequest
from stepflow.store import scripts
from stepflow.store.calls import NO_HASH, Call, Part, command, flat_map, load_hash, raw
from stepflow.store.channel import ChannelMessage
from stepflow.store.family_update import NO_KIN, FamilyUpdate, family_keys
from stepflow.store.hooks import MOST_UNTOLD, HookJob
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.run_hash import format_time, mended, read_run, rq_time, write_new, write_stop

#: answers of the deciding scripts: written; the run is not as the caller saw it; written before, by
#: this very command; not parked, for the inbox holds what the step has not seen
DONE, STALE, AGAIN, NOT_YET = 1, 0, 2, 3

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

    def args(self) -> tuple[Part, ...]:
        """Give the arguments a script takes them by."""
        return (len(self.deleted), *self.deleted, len(self.written), *self.written)


NO_WRITES = Writes()


@dataclass(frozen=True, slots=True)
class Fence:
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

    def record_fields(self) -> tuple[Part, ...]:
        """Give the step records to write, counted."""
        return (2, self.record_name or self.name, self.record) if self.record else (0,)


def flow_keys(base: str) -> tuple[str, ...]:
    """Name what a workflow keeps beside the record of its run."""
    return tuple(
        f"{base}:{name}" for name in ("journal", "mail", "sent", "vars", "questions", "replies")
    )


def submit_run(
    keys: Keys, run: Run, *, request: str, data: Sequence[Part], replaces: Run | None = None
) -> Call[dict[bytes, bytes] | None]:
    """
    Make the run with its first delivery.

    Gives None when it was made, else the hash of the run that is there.

    *run* holds the delivery and due time; *replaces* is the ended run of the generation before,
    which must be unchanged.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    due = format_time(run.due_at)
    fields = (*write_new(run, keys), "submit_id", request)
    old_state, gone = ("", "") if replaces is None else (replaces.state, expiry_member(replaces))
    return Call(
        scripts.SUBMIT_RUN,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:memo", f"{base}:kv",
            keys.rq_job(run.delivery), keys.rq_list(queue), keys.queued_at(queue),
            keys.wake_of(run.queue), RQ_QUEUES, keys.live, keys.runner_index(run.runner),
            keys.deadlines, keys.due, keys.rq_scheduled(queue), keys.done_index(old_state),
            keys.expiry, keys.runner_index((replaces or run).runner), *flow_keys(base),
        ),
        (
            request, "" if replaces is None else replaces.rev, run_member(run.id), run.id,
            format_time(run.created_at), due, run.delivery, queue, rq_time(run.created_at),
            keys.namespace, format_time(run.deadline_at), _brief(run.due_at, run.created_at), gone,
            len(fields), *fields, len(data), *data,
        ),
        lambda reply: None if reply[0] == DONE else flat_map(reply[1]),
    )  # fmt: skip


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
) -> Call[Any]:
    """
    Close the run's present step and keep its claim for the next.

    Gives [DONE, length of each list of *look_at* ...], [AGAIN], or [STALE, rev, token].
    """
    base = keys.run(run.id)
    fields: list[Part] = ["rev", run.rev + 1, "step", run.step + 1, "updated", format_time(now)]
    if run.failures or run.crashes or run.handoff:
        fields += ("failures", 0, "crashes", 0, "handoff", 0)
    return Call(
        scripts.KEEP_STEP,
        (base, base + ":data", base + ":steps", base + ":kv", base + ":memo", *look_at),
        (
            run.rev, fence.token, fence.name, fence.record, payload, 1 if drop_memo else 0,
            *(effects.args() if effects is not NO_WRITES else (0, 0)), len(fields), *fields,
        ),
        raw,
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
) -> Call[Any]:
    """
    Give the run back: *step* waits in its queue, or in the due set until *due_at*.

    Answers as `keep_step`.

    With *restarts* above 0 it begins a new history: its journal and step records go.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    delivery = run.next_delivery(step)
    rq_id = keys.rq_id(delivery)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", state, "step", step, "failures", failures, "crashes", crashes,
        "handoff", delivery.handoff, "delivery", rq_id, "due", format_time(due_at), "token", "",
        "claimed_id", "", "updated", format_time(now),
    ]  # fmt: skip
    if not fence.token:
        fields += ("request", fence.name, "parked", "")
    if stop is not None:
        fields += ("stop", write_stop(stop))
    if cleanup > run.cleanup:
        fields += ("cleanup", int(cleanup))
    if restarts:
        fields += ("journal", 1, *(() if run.has_children else ("cleanup", int(Cleanup.NONE))))
    data: tuple[Part, ...] = () if payload is None else ("payload", payload)
    old = run.claimed_rq_id or run.delivery
    return Call(
        scripts.HAND_OVER,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:kv", f"{base}:memo", keys.claims,
            keys.rq_job(old), keys.rq_wip(queue), keys.rq_job(rq_id), keys.rq_list(queue),
            keys.queued_at(queue), keys.wake_of(run.queue), keys.due, keys.rq_scheduled(queue),
            f"{base}:journal", f"{base}:questions", f"{base}:replies", keys.questions,
        ),
        (
            run.rev, fence.token, fence.name, fence.lapsed, run_member(run.id),
            f"{run.claimed_rq_id}:{run.token}", rq_id, format_time(due_at), format_time(now),
            rq_time(now), keys.namespace, queue, _brief(due_at or 0.0, now), 1 if drop_memo else 0,
            start_entry(restarts, now) if restarts else "", *effects.args(), len(fields), *fields,
            len(data), *data, *fence.record_fields(),
        ),
        raw,
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
    update: FamilyUpdate = NO_KIN,
    untold: bytes | None = None,
) -> Call[Any]:
    """
    End the run: record, indexes, times to live, hooks, family, waiters. Answers as `keep_step`.

    A record that could not be read can be from then on. *untold* notes the end for hooks of its app
    that nobody has announced; STALE as well when somebody has by now.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        *mended(run, keys, now), "rev", run.rev + 1, "state", state, "token", "", "claimed_id", "",
        "delivery", "", "due", "", "ended", format_time(now), "updated", format_time(now), "ends",
        run.ends + 1,
    ]  # fmt: skip
    if failures is not None:
        fields += ("failures", failures)
    if not fence.token:
        fields += ("request", fence.name)
    hook_queue = keys.hook_queue
    hook_args: list[Part] = []
    for hook in hooks:
        hook_args += (hook.rq_id, hook_member(hook.id), len(hook.fields), *hook.fields)
    ended = Run(run.id, run.runner, state=state)
    note_keys: tuple[str, ...] = () if untold is None else (keys.app_hooks, keys.untold(run.runner))
    note_args: tuple[Part, ...] = () if untold is None else (run.runner, untold, MOST_UNTOLD)
    return Call(
        scripts.FINISH_RUN if untold is None else scripts.FINISH_UNTOLD,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:kv", f"{base}:memo", keys.claims,
            keys.rq_job(run.claimed_rq_id or run.delivery), keys.rq_wip(queue), keys.live,
            keys.done_index(state), keys.expiry, keys.deadlines, keys.due, keys.rq_scheduled(queue),
            keys.queued_at(queue), keys.rq_list(hook_queue), keys.queued_at(hook_queue),
            keys.wake(hook_queue), RQ_QUEUES, *flow_keys(base), keys.questions,
            *(key for hook in hooks for key in (keys.hook(hook.id), keys.rq_job(hook.rq_id))),
            *update.keys, *note_keys,
        ),
        (
            run.rev_held, fence.token, fence.name, fence.lapsed, run_member(run.id),
            f"{run.claimed_rq_id}:{run.token}", run.delivery, run.id,
            format_time(run.created_at or now), max(1, int(ttl_s)), format_time(now + ttl_s),
            expiry_member(ended), keys.done_channel(run.id), state, format_time(now), rq_time(now),
            keys.namespace, hook_queue, len(hooks), *effects.args(), len(fields), *fields,
            len(data), *data, *fence.record_fields(), *hook_args, *update.args, *note_args,
        ),
        raw,
    )  # fmt: skip


def mark_run(
    keys: Keys,
    run: Run,
    stop: StopRequest,
    *,
    request: str,
    look_again_at: float | None,
    now: float,
) -> Call[Any]:
    """
    Write *stop* into the record of a run that a worker holds, and tell that worker.

    Answers as `keep_step`.
    """
    worker = worker_of(run.token)
    fields: list[Part] = [
        "rev",
        run.rev + 1,
        "stop",
        write_stop(stop),
        "updated",
        format_time(now),
        "request",
        request,
    ]
    return Call(
        scripts.MARK_RUN,
        (keys.run(run.id), keys.deadlines),
        (
            run.rev, request, run.id, format_time(look_again_at), keys.tell_channel(worker),
            ChannelMessage(run.id, stop).write(), len(fields), *fields,
        ),
        raw,
    )  # fmt: skip


def expiry_member(run: Run) -> str:
    """Name the run as the set of what expires holds it."""
    return f"{run.state}|{run.runner}|{run.id}"


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
) -> Call[Any]:
    """
    Close the present step and let the run stand until *due_at*, or until its inbox holds more than
    the *inbox* seen.

    Answers as `keep_step`, or [NOT_YET]. *inbox* None waits for the due time alone.
    """
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.WAITING, "step", run.step + 1, "failures", 0,
        "crashes", 0, "handoff", 0, "delivery", keys.rq_id(run.next_delivery(run.step + 1)), "due",
        format_time(due_at), "token", "", "claimed_id", "", "updated", format_time(now), "parked",
        "due" if inbox is None else "inbox", "waits_for", waits_for[:60],
    ]  # fmt: skip
    if cleanup is not run.cleanup:
        fields += ("cleanup", int(cleanup))
    return Call(
        scripts.PARK_RUN,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:memo", keys.claims,
            keys.rq_job(run.claimed_rq_id), keys.rq_wip(queue), keys.due, keys.wake_of(run.queue),
        ),
        (
            run.rev, fence.token, fence.name, "" if inbox is None else inbox, run_member(run.id),
            f"{run.claimed_rq_id}:{run.token}", format_time(due_at), expects, len(fields), *fields,
            *fence.record_fields(),
        ),
        raw,
    )  # fmt: skip


def pause_run(keys: Keys, run: Run, fence: Fence, *, reason: str, now: float) -> Call[Any]:
    """Let the run stand at its present step until it is resumed. Answers as `keep_step`."""
    base, queue = keys.run(run.id), keys.queue_of(run)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.PAUSED, "delivery", "", "due", "", "token", "",
        "claimed_id", "", "updated", format_time(now), "parked", "", "waits_for", "resume",
    ]  # fmt: skip
    return Call(
        scripts.PAUSE_RUN,
        (base, f"{base}:data", f"{base}:steps", keys.claims, keys.rq_job(run.claimed_rq_id or run.delivery), keys.rq_wip(queue)),
        (
            run.rev, fence.token, fence.name, run_member(run.id), f"{run.claimed_rq_id}:{run.token}",
            reason, len(fields), *fields, *fence.record_fields(),
        ),
        raw,
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


def load_kv(keys: Keys, run_id: str, key: str) -> Call[bytes | None]:
    """Read one value of the run's own space, packed."""
    return command("HGET", f"{keys.run(run_id)}:kv", key, read=raw)


def load_steps(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's step records."""
    return load_hash(f"{keys.run(run_id)}:steps")


def retry_run(
    keys: Keys, run: Run, *, request: str, now: float, forget: Sequence[bytes] = ()
) -> Call[Any]:
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
    return Call(
        scripts.RETRY_RUN,
        (
            base, f"{base}:data", f"{base}:steps", f"{base}:kv", keys.rq_job(rq_id),
            keys.rq_list(queue), keys.queued_at(queue), keys.wake_of(run.queue), keys.live,
            keys.done_index(run.state), keys.expiry, *flow_keys(base), f"{base}:memo",
            *family_keys(keys, run.id, run.generation),
        ),
        (
            run.rev, request, run.id, run_member(run.id), format_time(run.created_at), rq_id,
            format_time(now), rq_time(now), keys.namespace, queue, expiry_member(run), len(forget),
            *forget, len(fields), *fields,
        ),
        raw,
    )  # fmt: skip
