"""Calls that take, keep and give up claims: the exclusive right to settle a delivery."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from stepflow.core.ids import build_key, run_member
from stepflow.core.run import Run, RunState
from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, flat_map, load_hash, nothing, raw
from stepflow.store.keys import RQ_SUSPENDED, Keys
from stepflow.store.limits.limited import limited
from stepflow.store.run_hash import format_time, rq_time
from stepflow.store.runs import Answer, Fence, wip_member

#: what RQ shows of a job that somebody put on a queue of ours
FOREIGN_JOB = (
    "stepflow: this job was not written by stepflow, whose workers do not run it; "
    "put it on a queue of its own with an RQ worker of its own"
)


class QueueSource(NamedTuple):
    """A list that deliveries are taken from: an RQ queue, or the waiting list of a runner."""

    list: str
    pending: str
    wip: str
    wake: str
    rq_queue: str


class ClaimedDelivery(NamedTuple):
    """
    One claimed delivery, with the hashes of its record and data as the claim left them.

    Without a token nothing was claimed: its record cannot be read.
    """

    rq_id: str
    token: str
    row: dict[bytes, bytes]
    data: dict[bytes, bytes]


class Batch(NamedTuple):
    """
    What a claim brought.

    *waiting* counts what was left in the queues, -1 while RQ is suspended.
    """

    now: float
    waiting: int
    next_due: float | None
    taken: list[ClaimedDelivery]


def sources_of(keys: Keys, queue: str, levels: Collection[str] = ()) -> list[QueueSource]:
    """Give the sources behind *queue*, the most urgent first; *levels* as for `rq_queues`."""
    return [source_of(keys, name, keys.wake_of(queue)) for name in keys.rq_queues(queue, levels)]


def source_of(keys: Keys, rq_queue: str, wake: str) -> QueueSource:
    """Give the source that is one RQ queue."""
    return QueueSource(
        keys.rq_list(rq_queue), keys.queued_at(rq_queue), keys.rq_wip(rq_queue), wake, rq_queue
    )


def waiting_source(keys: Keys, rq_queue: str, runner: str) -> QueueSource:
    """Give the source that is the waiting list of *runner* beside an RQ queue."""
    return QueueSource(
        keys.waiting_list(rq_queue, runner),
        keys.queued_at(rq_queue),
        keys.rq_wip(rq_queue),
        keys.wake(f"@{runner}"),
        rq_queue,
    )


def claim_steps(
    keys: Keys,
    sources: Sequence[QueueSource],
    *,
    given: str,
    stem: str,
    number: int,
    lease_s: float,
    limit: int,
    live_workers: int,
    worker: str,
    now: float,
    runners: Sequence[str],
) -> Call[Batch]:
    """
    Claim up to *limit* deliveries, this worker's fair share of what waits.

    Tokens are *stem* and a number, counted on.
    """
    return scripts.CLAIM_STEPS.call(
        _read_batch,
        keys={
            "claims": keys.claims,
            "suspended": RQ_SUSPENDED,
            "paused_queues": keys.paused_queues,
            "laned": keys.laned,
            "waiting_lists": keys.waiting_lists,
            "due": keys.due,
        },
        args={
            "given": given,
            "ns": keys.namespace,
            "prefix": keys.job_prefix,
            "stem": stem,
            "first_number": number,
            "lease_s": lease_s,
            "limit": limit,
            "live_workers": live_workers,
            "worker": worker,
            "rq_time": rq_time(now),
            "running": RunState.RUNNING,
            "refusal_text": FOREIGN_JOB,
        },
        lists={"runners": runners, "queues": [source.rq_queue for source in sources]},
        key_lists={
            "source": [
                key
                for source in sources
                for key in (source.list, source.pending, source.wip, source.wake)
            ]
        },
        resend=False,
    )


def _read_batch(reply: Any) -> Batch:
    taken = [
        ClaimedDelivery(item[0].decode(), item[1].decode(), flat_map(item[2]), flat_map(item[3]))
        for item in reply[3:]
    ]
    return Batch(float(reply[0]), reply[1], float(reply[2]) if reply[2] else None, taken)


def claim_one(
    keys: Keys, member: str, rq_id: str, token: str, rq_queue: str, *, given: str, lease_s: float
) -> Call[ClaimedDelivery | None]:
    """
    Claim the delivery *rq_id* that was popped by somebody else.

    None when its record does not wait for it.
    """
    record = keys.record(member)

    def read(reply: Any) -> ClaimedDelivery | None:
        if len(reply) == 1:
            return None
        if len(reply) == 2:  # noqa: PLR2004  a record that cannot be claimed
            return ClaimedDelivery(rq_id, "", flat_map(reply[1]), {})
        return ClaimedDelivery(rq_id, token, flat_map(reply[1]), flat_map(reply[2]))

    return scripts.CLAIM_ONE.call(
        read,
        keys={
            "claims": keys.claims,
            "record": record,
            "data": f"{record}:data",
            "queued_at": keys.queued_at(rq_queue),
            "paused_queues": keys.paused_queues,
        },
        args={
            "given": given,
            "ns": keys.namespace,
            "prefix": keys.job_prefix,
            "rq_id": rq_id,
            "token": token,
            "lease_s": lease_s,
            "running": RunState.RUNNING,
            "member": member,
            "queue": rq_queue,
        },
    )


def renew_claims(
    keys: Keys,
    claims: Sequence[tuple[str, str, float]],
    *,
    given: str,
    doing: Sequence[bytes] = (),
) -> Call[tuple[float, list[Any]]]:
    """
    Lengthen claims, each (member, token, seconds from now; 0 only asks).

    *doing* is what is under way for the first of them, packed, empty where that is not news.

    Gives the server's time, then for each 0 lost, the bytes of the run's stop field, or 1 and how
    much its inbox ever held, negative when it was asked to pause.
    """
    records = [keys.record(member) for member, _, _ in claims]
    is_run = [member.startswith(run_member("")) for member, _, _ in claims]
    return scripts.RENEW_CLAIMS.call(
        lambda reply: (float(reply[0]), reply[1:]),
        keys={"claims": keys.claims},
        args={"given": given},
        lists={
            "members": [member for member, _, _ in claims],
            "tokens": [token for _, token, _ in claims],
            "seconds": [seconds for _, _, seconds in claims],
            "doing": [*doing, *(b"" for _ in claims[len(doing) :])],
        },
        key_lists={
            "record": records,
            "data": [
                f"{record}:data" if run else record
                for record, run in zip(records, is_run, strict=True)
            ],
        },
    )


def extend_claim(keys: Keys, member: str, token: str, seconds: float, *, given: str) -> Call[bool]:
    """Keep one claim at least *seconds* from now; False when it is not the caller's any more."""
    return scripts.EXTEND_CLAIM.call(
        bool,
        keys={"claims": keys.claims, "record": keys.record(member)},
        args={"given": given, "token": token, "member": member, "seconds": seconds},
    )


def hand_on(
    keys: Keys, run: Run, fence: Fence, *, build: str, tried: bytes, now: float
) -> Call[Answer]:
    """
    Give the run to the workers that have *build*, which read a waiting list of their own.

    *tried* says whose code did not fit it. Answers as `keep_step`.
    """
    base, queue, time = keys.run(run.id), keys.queue_of(run), format_time(now)
    delivery, runner = run.next_delivery(run.step), build_key(run.runner_key, build)
    rq_id = keys.rq_id(delivery)
    fields: list[Part] = [
        "rev", run.rev + 1, "state", RunState.PENDING, "handoff", delivery.handoff, "delivery",
        rq_id, "due", "", "token", "", "claimed_id", "", "updated", time, "unroutable", time,
    ]  # fmt: skip
    return scripts.HAND_ON.call(
        raw,
        keys={
            "run": base, "data": f"{base}:data", "steps": f"{base}:steps", "claims": keys.claims,
            "claimed_job": keys.rq_job(run.claimed_rq_id), "wip": keys.rq_wip(queue),
            "job": keys.rq_job(rq_id), "list": keys.waiting_list(queue, runner),
            "waiting_lists": keys.waiting_lists,
        },
        args={
            "rev": run.rev, "token": fence.token, "fence": fence.name, "member": run_member(run.id),
            "wip_member": wip_member(run), "rq_id": rq_id, "rq_time": rq_time(now),
            "ns": keys.namespace, "queue": queue, "entry": f"{queue}|{runner}", "tried": tried,
        },
        lists={
            "fields": fields, "records": fence.records(), "limited": limited(keys, run, now),
        },
    )  # fmt: skip


def put_memo(
    keys: Keys, run_id: str, token: str, step: int, field: str, value: bytes
) -> Call[bool]:
    """Write a memo value under the claim; False when the step is not the caller's any more."""
    base = keys.run(run_id)
    return scripts.PUT_MEMO.call(
        bool,
        keys={"run": base, "memo": f"{base}:memo"},
        args={"token": token, "step": step, "field": field, "value": value},
    )


def load_memo(keys: Keys, run_id: str) -> Call[dict[bytes, bytes]]:
    """Read the run's memo, packed."""
    return load_hash(f"{keys.run(run_id)}:memo")


def prune_waiting_list(keys: Keys, waiting: QueueSource, entry: str) -> Call[bool]:
    """Say whether a waiting list holds anything; one that does not is forgotten."""
    return scripts.PRUNE_WAITING_LIST.call(
        bool,
        keys={"waiting_lists": keys.waiting_lists, "list": waiting.list},
        args={"entry": entry},
    )


def standing_claims(keys: Keys, cursor: int, count: int) -> Call[tuple[int, list[str]]]:
    """
    Scan all claims' members, whoever holds them: (next cursor, members).

    One that stands all the while is seen.
    """
    return command("ZSCAN", keys.claims, cursor, "COUNT", count, read=_scanned)


def _scanned(reply: Any) -> tuple[int, list[str]]:
    items = reply[1]
    pairs = (
        items
        if items and isinstance(items[0], list | tuple)
        else list(zip(items[::2], items[1::2], strict=True))
    )
    return int(reply[0]), as_text([member for member, _ in pairs])


def as_text(members: Sequence[bytes]) -> list[str]:
    """
    Give members as text, whatever their bytes.

    Only those that the script found sound are names.
    """
    return [member.decode("utf-8", "backslashreplace") for member in members]


def claim_holder(keys: Keys, member: str) -> Call[str]:
    """Read the token that a record is claimed by, empty without one."""
    return command(
        "HGET", keys.record(member), "token",
        read=lambda reply: (reply or b"").decode("utf-8", "replace"), misfit=str,
    )  # fmt: skip


def load_record(keys: Keys, member: str) -> Call[dict[bytes, bytes]]:
    """Read the hash of a run or hook by its member name."""
    return load_hash(keys.record(member))


def wait_for_work(keys_: Sequence[str], timeout_s: float) -> Call[str]:
    """
    Block until a wake list has a token, at most *timeout_s*, and name it.

    Eating a token harms nothing: never re-sent.
    """
    return command(
        "BLPOP",
        *keys_,
        timeout_s,
        read=lambda reply: reply[0].decode() if reply else "",
        resend=False,
    )


def stands_in_queue(rq_queue: str, rq_id: str) -> Call[bool]:
    """Look for a delivery in the first part of its queue: that far a search costs little."""
    return command(
        "LPOS",
        Keys.rq_list(rq_queue),
        rq_id,
        "MAXLEN",
        10_000,
        read=lambda reply: reply is not None,
        misfit=bool,
    )


def tidy_lost_delivery(rq_queue: str, rq_id: str) -> list[Call[None]]:
    """Take what a stock worker or RQ's own recovery left of a delivery out of RQ's lists."""
    return [
        command("LREM", f"{Keys.rq_list(rq_queue)}:intermediate", 0, rq_id, read=nothing),
        command("ZREM", Keys.rq_failed(rq_queue), rq_id, read=nothing),
        command("DEL", f"rq:results:{rq_id}", read=nothing),
    ]


def forget_waiting(keys: Keys, rq_queue: str, runner: str, rq_id: str) -> Call[None]:
    """Take a delivery that nobody waits for any more out of the waiting list of its runner."""
    return command("LREM", keys.waiting_list(rq_queue, runner), 1, rq_id, read=nothing)


def forget_claim(keys: Keys, member: str) -> Call[None]:
    """Take the claim of a record that is gone out of the claims."""
    return command("ZREM", keys.claims, member, read=nothing)


def forget_deadline(keys: Keys, run_id: str) -> Call[None]:
    """Take the deadline of a run that is gone out of the index."""
    return command("ZREM", keys.deadlines, run_id, read=nothing)


def no_longer_live(keys: Keys, queue: str, worker: str) -> Call[None]:
    """Take a worker that leaves out of those that share a queue."""
    return command("ZREM", keys.workers(queue), worker, read=nothing)
