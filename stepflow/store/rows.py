"""Between the run's hash in Redis and `core.run.Run`: names of fields, how each is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from stepflow.core.ids import split_runner
from stepflow.core.run import Rest, Run, RunState, Stop, StopKind
from stepflow.store.calls import Part
from stepflow.store.keys import Keys


def stamp(moment: float | None) -> str:
    """Write unix seconds as fields and scores hold them; None and 0 are empty."""
    return f"{moment:.6f}" if moment else ""


def rq_time(moment: float) -> str:
    """Write unix seconds as RQ writes times: UTC, ISO 8601, microseconds, Z."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _number(row: Mapping[bytes, bytes], name: bytes) -> float:
    return float(row.get(name) or 0)


def _count(row: Mapping[bytes, bytes], name: bytes) -> int:
    return int(row.get(name) or 0)


def _text(row: Mapping[bytes, bytes], name: bytes) -> str:
    return row.get(name, b"").decode()


def read_run(run_id: str, row: Mapping[bytes, bytes], keys: Keys) -> Run:
    """Read a run's hash."""
    queue, priority = keys.split_queue(_text(row, b"queue"))
    stop = row.get(b"stop")
    runner, version = split_runner(_text(row, b"runner"))
    return Run(
        run_id,
        runner,
        queue,
        priority,
        RunState(_text(row, b"state")),
        _count(row, b"rev"),
        _count(row, b"generation"),
        _count(row, b"step"),
        _count(row, b"failures"),
        _count(row, b"crashes"),
        _count(row, b"handoff"),
        _text(row, b"delivery"),
        _number(row, b"due"),
        _text(row, b"token"),
        _text(row, b"held"),
        read_stop(stop) if stop else None,
        _count(row, b"ends"),
        row.get(b"digest", b""),
        _number(row, b"created"),
        _number(row, b"started"),
        _number(row, b"updated"),
        _number(row, b"ended"),
        _number(row, b"deadline"),
        _number(row, b"blocked"),
        _count(row, b"inbox"),
        bool(row.get(b"logged")),
        _text(row, b"waits"),
        Rest(_count(row, b"rest")),
        version,
        origin=_text(row, b"origin"),
        children=bool(row.get(b"children")),
    )


def write_new(run: Run, keys: Keys) -> list[Part]:
    """Write the fields of a new run; those at their default are left out, they cost memory."""
    fields: list[Part] = [
        "runner", run.runner_key, "queue", keys.queue_of(run), "state", run.state, "rev", run.rev, "delivery", run.delivery,
        "digest", run.digest, "created", stamp(run.created_at),
    ]  # fmt: skip
    if run.generation:
        fields += ("generation", run.generation)
    if run.due_at:
        fields += ("due", stamp(run.due_at))
    if run.deadline_at:
        fields += ("deadline", stamp(run.deadline_at))
    if run.origin:
        fields += ("origin", run.origin)
    if run.logged:
        fields += ("logged", "1")
    if run.rest:
        fields += ("rest", int(run.rest))
    return fields


def write_stop(stop: Stop) -> str:
    """Write a stop as one field."""
    return f"{stop.kind}|{stop.at:.6f}|{stop.reason}"


def read_stop(field: bytes) -> Stop:
    """Read a stop back."""
    kind, at, reason = field.decode().split("|", 2)
    return Stop(StopKind(kind), reason, float(at))
