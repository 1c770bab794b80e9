"""Calls for hook deliveries: each a record of its own, queued as an RQ job of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from stepflow.core.ids import hook_member, hook_rq_id
from stepflow.core.run import Damage
from stepflow.store import scripts
from stepflow.store.calls import NO_HASH, Call, Part, command, flat_map, raw
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.run_hash import Fields, format_time, rq_time

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"

#: the runner name that hook deliveries any worker can make stand under
ANYONE = "@webhook"
#: and those for the archive, which only workers take that reach it; no runner can be called so
ARCHIVER = ".archive"

#: ends of one runner's runs that are noted while nobody has announced its hooks; the oldest go
#: first
MOST_UNTOLD = 10_000


@dataclass(slots=True)
class HookRecord:
    """
    One delivery of one hook as kept: *target* and *body* are packed and never shown.

    Times are unix seconds.
    """

    id: str
    run_id: str
    runner: str
    state: str
    target: bytes = field(repr=False)  # it may hold a secret
    body: bytes = field(repr=False)
    rev: int = 1
    tries: int = 0
    delivery: str = ""
    due_at: float = 0.0
    token: str = ""
    claimed_rq_id: str = ""
    problem: str = ""
    created_at: float = 0.0
    #: the fields that could not be read and stand at their default here
    damage: Sequence[Damage] = ()

    @property
    def unreadable(self) -> str | None:
        """What of the record could not be read, in words; None when all of it was."""
        return "; ".join(map(str, self.damage)) or None


@dataclass(frozen=True, slots=True)
class HookJob:
    """A hook delivery to write with the run's end."""

    id: str
    rq_id: str
    fields: Sequence[Part]


def read_hook(hook_id: str, row: dict[bytes, bytes]) -> HookRecord:
    """
    Read a hook's hash.

    Never raises: what cannot be read stands at its default, and `damage` says so.
    """
    fields = Fields(row)
    text, count, time = fields.text, fields.count, fields.time
    record = HookRecord(
        id=hook_id,
        run_id=text(b"run"),
        runner=text(b"runner"),
        state=text(b"state"),
        target=row.get(b"target", b""),
        body=row.get(b"body", b""),
        rev=count(b"rev"),
        tries=count(b"tries"),
        delivery=text(b"delivery"),
        due_at=time(b"due"),
        token=text(b"token"),
        claimed_rq_id=text(b"claimed_id"),
        problem=text(b"problem"),
        created_at=time(b"created"),
    )
    for name in (b"rev", b"target"):
        if not row.get(name):
            fields.note(name)
    record.damage = tuple(fields.damage)
    return record


def write_new_hook(hook: HookRecord, keys: Keys) -> list[Part]:
    """Write the fields of a new delivery."""
    return [
        "run", hook.run_id, "runner", hook.runner, "state", hook.state, "target", hook.target,
        "body", hook.body, "rev", hook.rev, "delivery", hook.delivery, "queue", keys.hook_queue,
        "created", format_time(hook.created_at),
    ]  # fmt: skip


def write_hook_jobs(hooks: Sequence[HookJob]) -> Sequence[Part]:
    """Write deliveries as `lib/hook.lua` reads them."""
    args: list[Part] = []
    for hook in hooks:
        args += (hook.rq_id, hook_member(hook.id), len(hook.fields), *hook.fields)
    return args


@lru_cache(maxsize=16)
def hook_queue_keys(keys: Keys) -> Mapping[str, str]:
    """Give the keys of the hook queue, for the scripts that leave deliveries in it."""
    queue = keys.hook_queue
    return {
        "hook_list": keys.rq_list(queue),
        "hook_queued_at": keys.queued_at(queue),
        "hook_wake": keys.wake(queue),
        "live_hooks": keys.live_hooks,
        "rq_queues": RQ_QUEUES,
    }


def hook_job_keys(keys: Keys, hooks: Sequence[HookJob]) -> Sequence[str]:
    """Give the keys of deliveries as `lib/hook.lua` takes them: of each its record and its job."""
    return [key for hook in hooks for key in (keys.hook(hook.id), keys.rq_job(hook.rq_id))]


def rq_id_of(keys: Keys, hook_id: str, serial: int) -> str:
    """
    Give the RQ id of one hand-over of a hook's delivery.

    *serial*, the record's rev, keeps them apart.
    """
    return keys.job_prefix + hook_rq_id(hook_id, serial)


def load_hook(keys: Keys, hook_id: str) -> Call[HookRecord | None]:
    """Read one delivery; None when it is not kept."""
    return command(
        "HGETALL", keys.hook(hook_id),
        read=lambda reply: read_hook(hook_id, flat_map(reply)) if reply else None,
        misfit=lambda: read_hook(hook_id, NO_HASH),
    )  # fmt: skip


def commit_hook(
    keys: Keys,
    hook: HookRecord,
    *,
    fields: Sequence[Part],
    ttl_s: float | None = None,
    died_at: float | None = None,
    due_at: float | None = None,
) -> Call[int]:
    """Settle one try under its claim: 1 written, 2 a second arrival, 0 the claim is gone."""
    return scripts.COMMIT_HOOK.call(
        int,
        keys={
            "hook": keys.hook(hook.id),
            "claims": keys.claims,
            "claimed_job": keys.rq_job(hook.claimed_rq_id),
            "wip": keys.rq_wip(keys.hook_queue),
            "dead_hooks": keys.dead_hooks,
            "live_hooks": keys.live_hooks,
            "due": keys.due,
        },
        args={
            "token": hook.token,
            "member": hook_member(hook.id),
            "wip_member": f"{hook.claimed_rq_id}:{hook.token}",
            "ttl_s": "" if ttl_s is None else max(1, int(ttl_s)),
            "died_at": format_time(died_at),
            "hook_id": hook.id,
            "due": format_time(due_at),
        },
        lists={"fields": fields},
    )


def requeue_hook(
    keys: Keys, hook: HookRecord, *, now: float, lapsed: str = "", fresh: bool = False
) -> Call[int]:
    """
    Put a delivery back into its queue: 1 queued, 0 it has moved on.

    *fresh* starts its tries anew.
    """
    rq_id = rq_id_of(keys, hook.id, hook.rev)
    queue = keys.hook_queue
    fields: list[Part] = [
        "rev", hook.rev + 1, "state", PENDING, "delivery", rq_id, "due", "", "token", "",
        "claimed_id", "", "tries", 0 if fresh else hook.tries,
    ]  # fmt: skip
    return scripts.REQUEUE_HOOK.call(
        int,
        keys={
            "hook": keys.hook(hook.id),
            "claims": keys.claims,
            "claimed_job": keys.rq_job(hook.claimed_rq_id or hook.delivery),
            "wip": keys.rq_wip(queue),
            "dead_hooks": keys.dead_hooks,
            "live_hooks": keys.live_hooks,
            "job": keys.rq_job(rq_id),
            "list": keys.rq_list(queue),
            "queued_at": keys.queued_at(queue),
            "wake": keys.wake(queue),
            "due": keys.due,
            "rq_queues": RQ_QUEUES,
        },
        args={
            "rev": hook.rev,
            "member": hook_member(hook.id),
            "wip_member": f"{hook.claimed_rq_id}:{hook.token}",
            "hook_id": hook.id,
            "rq_id": rq_id,
            "now": format_time(now),
            "rq_time": rq_time(now),
            "ns": keys.namespace,
            "queue": queue,
            "lapsed": lapsed,
        },
        lists={"fields": fields},
    )


def load_app_hooks(keys: Keys, runner: str) -> Call[bytes | None]:
    """Read which terminal hooks the app of *runner* has, as its workers wrote it."""
    return command("HGET", keys.app_hooks, runner, read=lambda reply: reply, misfit=lambda: None)


def save_app_hooks(keys: Keys, fields: Sequence[Part]) -> Call[int | None]:
    """
    Write which terminal hooks the runners of an app have.

    Runner, packed names, runner, packed names ...

    Gives None when something else stands where they are kept.
    """
    return command("HSET", keys.app_hooks, *fields, read=int, misfit=lambda: None)


def load_untold(keys: Keys, runner: str, count: int) -> Call[list[bytes]]:
    """Read the first notes of ends that hooks of *runner*'s app were not known of."""
    return command("ZRANGE", keys.untold(runner), 0, count - 1, read=raw, misfit=list)


def tell_untold(
    keys: Keys, runner: str, note: bytes, hooks: Sequence[HookJob], *, now: float
) -> Call[int]:
    """
    Write the deliveries that a noted end calls for, and take the note away.

    Gives 1 written, 0 somebody has done it.
    """
    return tell_noted(keys, keys.untold(runner), note, hooks, now=now)


def tell_noted(
    keys: Keys, notes: str, note: bytes, hooks: Sequence[HookJob], *, now: float
) -> Call[int]:
    """Write the deliveries that a *note* calls for, and take it out of the sorted set *notes*."""
    queue = keys.hook_queue
    return scripts.TELL_UNTOLD.call(
        int,
        keys={
            "notes": notes,
            "list": keys.rq_list(queue),
            "queued_at": keys.queued_at(queue),
            "wake": keys.wake(queue),
            "live_hooks": keys.live_hooks,
            "rq_queues": RQ_QUEUES,
        },
        args={
            "note": note,
            "now": format_time(now),
            "rq_time": rq_time(now),
            "ns": keys.namespace,
            "queue": queue,
        },
        lists={"hooks": write_hook_jobs(hooks)},
        key_lists={"hook": hook_job_keys(keys, hooks)},
    )
