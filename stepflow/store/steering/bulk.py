"""Calls for bulks: one verb for many runs, carried on by whichever worker comes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow.store import scripts
from stepflow.store.calls import Call, Part, command, load_hash, nothing
from stepflow.store.hooks import HookJob, hook_job_keys, write_hook_jobs
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.run_hash import Fields, format_time, rq_time

#: the states of a bulk
SELECTING, RUNNING, STOPPED, DONE = "selecting", "running", "stopped", "done"
#: the verb of a bulk that begins the runs of a schedule's past times; *where* is the schedule
BACKFILL = "backfill"
#: bulks that are listed: the last ones
MOST = 1000
#: what became of a run: the verb was done; refused; the run no longer fitted; its record was gone
ANSWERS = ("done", "refused", "changed", "gone")


@dataclass(slots=True)
class BulkRecord:
    """
    A bulk as kept.

    *options* are what the verb takes, packed. *cursor* counts the selected runs that it is through
    with, *total* all of them. *index* and *scan* say how far the selection has come. The pace is
    reckoned from *paced_at* (unix seconds), when *paced_from* runs were through.
    """

    id: str
    verb: str
    where: str
    by: str
    rate: float
    state: str = SELECTING
    options: bytes = b""
    created_at: float = 0.0
    ended_at: float = 0.0
    rev: int = 1
    deliveries: int = 0
    index: int = 0
    scan: str = "0"
    cursor: int = 0
    total: int = 0
    paced_at: float = 0.0
    paced_from: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def fields(self) -> list[Part]:
        """Write it as the fields of its hash."""
        counts = [part for name in ANSWERS for part in (f"n.{name}", self.counts.get(name, 0))]
        return [
            "verb", self.verb, "where", self.where, "by", self.by, "rate", f"{self.rate:g}",
            "state", self.state, "options", self.options, "created", format_time(self.created_at),
            "ended", format_time(self.ended_at), "rev", self.rev, "deliveries", self.deliveries,
            "index", self.index, "scan", self.scan, "cursor", self.cursor, "total", self.total,
            "paced_at", format_time(self.paced_at), "paced_from", self.paced_from, *counts,
        ]  # fmt: skip


def read_bulk(bulk_id: str, row: Mapping[bytes, bytes]) -> BulkRecord:
    """Read a bulk's hash; what cannot be read stands at its default, and it stops."""
    fields = Fields(row)
    text, count, time = fields.text, fields.count, fields.time
    try:
        rate = float(row.get(b"rate", b"1"))
    except ValueError:
        rate = 1.0
    record = BulkRecord(
        id=bulk_id, verb=text(b"verb"), where=text(b"where"), by=text(b"by"), rate=rate,
        state=text(b"state"), options=row.get(b"options", b""), created_at=time(b"created"),
        ended_at=time(b"ended"), rev=count(b"rev"), deliveries=count(b"deliveries"),
        index=count(b"index"), scan=text(b"scan") or "0", cursor=count(b"cursor"),
        total=count(b"total"), paced_at=time(b"paced_at"), paced_from=count(b"paced_from"),
        counts={name: count(f"n.{name}".encode()) for name in ANSWERS},
    )  # fmt: skip
    if fields.damage or rate <= 0:
        record.state = STOPPED
    return record


def start_bulk(
    keys: Keys, record: BulkRecord, job: HookJob, *, expected: int | None, request: str, now: float
) -> Call[bool]:
    """
    Write a bulk and the delivery that carries it on; False when the record has changed.

    *expected* is the rev of the record that is there, None for none.
    """
    queue = keys.hook_queue
    return scripts.START_BULK.call(
        bool,
        keys={
            "bulk": keys.bulk(record.id), "runs": keys.bulk_runs(record.id), "bulks": keys.bulks,
            "list": keys.rq_list(queue), "queued_at": keys.queued_at(queue),
            "wake": keys.wake(queue), "live_hooks": keys.live_hooks, "rq_queues": RQ_QUEUES,
        },
        args={
            "bulk_id": record.id, "created": format_time(record.created_at),
            "expected": "" if expected is None else expected, "request": request,
            "most": MOST, "now": format_time(now), "rq_time": rq_time(now), "ns": keys.namespace,
            "queue": queue,
        },
        lists={"fields": record.fields(), "hooks": write_hook_jobs([job])},
        key_lists={"hook": hook_job_keys(keys, [job])},
    )  # fmt: skip


def advance_bulk(
    keys: Keys,
    record: BulkRecord,
    *,
    rev: int,
    request: str,
    selected: Sequence[tuple[str, float]] = (),
    ttl_s: float | None = None,
) -> Call[bool]:
    """Write how far a bulk has come that was at *rev*; False when it has changed."""
    scored: list[Part] = [part for name, at in selected for part in (format_time(at) or "0", name)]
    return scripts.ADVANCE_BULK.call(
        bool,
        keys={"bulk": keys.bulk(record.id), "runs": keys.bulk_runs(record.id)},
        args={
            "rev": rev, "request": request, "ttl_s": "" if ttl_s is None else max(1, int(ttl_s)),
            "is_over": 1 if record.state == DONE else 0,
        },
        lists={"fields": record.fields(), "selected": scored},
    )  # fmt: skip


def load_bulk(keys: Keys, bulk_id: str) -> Call[BulkRecord | None]:
    """Read a bulk; None when it is not kept."""
    call = load_hash(keys.bulk(bulk_id))
    return Call(
        call.script, call.parts,
        lambda reply: read_bulk(bulk_id, row) if (row := call.read(reply)) else None,
        resend=call.resend, misfit=lambda: None,
    )  # fmt: skip


def load_selected(keys: Keys, bulk_id: str, first: int, count: int) -> Call[list[str]]:
    """Read some of the runs that a bulk has selected, the oldest first."""
    return command(
        "ZRANGE", keys.bulk_runs(bulk_id), first, first + count - 1,
        read=lambda reply: [item.decode("utf-8", "backslashreplace") for item in reply],
        misfit=list,
    )  # fmt: skip


def scan_index(index: str, cursor: str, count: int) -> Call[tuple[str, list[tuple[str, float]]]]:
    """Read one page of an index, as (member, score); gives the next cursor, "0" at the end."""
    return command("ZSCAN", index, cursor, "COUNT", count, read=_scanned, misfit=lambda: ("0", []))


def _scanned(reply: Any) -> tuple[str, list[tuple[str, float]]]:
    items = reply[1]
    pairs = (
        items
        if items and isinstance(items[0], list | tuple)
        else list(zip(items[::2], items[1::2], strict=True))
    )
    cursor = reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])
    return cursor, [(name.decode("utf-8", "backslashreplace"), float(at)) for name, at in pairs]


def load_request(keys: Keys, run_id: str) -> Call[str]:
    """Read by which request of an outsider a run was moved last; empty for none."""
    return command(
        "HGET", keys.run(run_id), "request",
        read=lambda reply: (reply or b"").decode("utf-8", "replace"), misfit=str,
    )  # fmt: skip


def forget_bulk(keys: Keys, bulk_id: str) -> Call[None]:
    """Take a bulk whose record is gone out of the list of bulks."""
    return command("ZREM", keys.bulks, bulk_id, read=nothing, misfit=lambda: None)
