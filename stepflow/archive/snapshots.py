"""Snapshots of runs, the last few of each, and the mirror of live ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select

from stepflow.archive import rows
from stepflow.archive.insert import insert
from stepflow.archive.schema import live, runs, snapshots
from stepflow.archive.values import Snapshot

#: the columns of a list: all but the document
_LISTED = [column for column in snapshots.c if column.name != "document"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A run as it stands at a moment, to write as a snapshot or into the mirror."""

    run_id: str
    runner: str
    created_us: int
    generation: int
    rev: int
    state: str
    step: int
    at: datetime
    document: Mapping[str, Any]
    why: str = ""

    @property
    def progress(self) -> int:
        """How many steps it has done: those of a workflow are entries of its journal."""
        return len(self.document.get("journal", ())) or self.step


def write_snapshot(connection: Connection, namespace: str, taken: Moment, *, keeps: int) -> int:
    """Write a snapshot, and take away all but the last *keeps* of that run; gives its number."""
    values = {
        "namespace": namespace, "run_id": taken.run_id, "created_us": taken.created_us,
        "generation": taken.generation, "rev": taken.rev, "state": taken.state,
        "step": taken.step, "taken_at": taken.at, "why": rows.text(taken.why),
        "document": rows.write_json(taken.document),
    }  # fmt: skip
    written = connection.execute(snapshots.insert().returning(snapshots.c.number), values)
    number: int = written.scalar_one()
    kept = (
        _of_run(namespace, taken.run_id).with_only_columns(snapshots.c.number)
        .order_by(snapshots.c.number.desc()).offset(keeps)
    )  # fmt: skip
    old = list(connection.execute(kept.limit(1000)).scalars())
    if old:
        connection.execute(delete(snapshots).where(snapshots.c.number.in_(old)))
    return number


def list_snapshots(connection: Connection, namespace: str, run_id: str) -> list[Snapshot]:
    """Give the snapshots of a run, the newest first."""
    query = _of_run(namespace, run_id).order_by(snapshots.c.number.desc())
    return [_read(row) for row in connection.execute(query).mappings()]


def load_snapshot(
    connection: Connection, namespace: str, run_id: str, number: int | None
) -> tuple[Snapshot, Any] | None:
    """Read a snapshot with its document, the latest without a *number*; None when none is kept."""
    query = select(snapshots).where(
        snapshots.c.namespace == namespace, snapshots.c.run_id == run_id
    )
    if number is not None:
        query = query.where(snapshots.c.number == number)
    row = connection.execute(query.order_by(snapshots.c.number.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    what = f"snapshot {row['number']} of run {run_id!r}"
    return _read(row), rows.read_document(row["document"], what)


def write_live(connection: Connection, namespace: str, moments: Sequence[Moment]) -> None:
    """Bring the mirror of live runs up to date; what it knows in a later rev stays."""
    ended = _ended(connection, namespace, moments)
    for moment in sorted(moments, key=lambda each: each.run_id):
        if ended.get((moment.run_id, moment.created_us), 0) >= rows.microseconds(moment.at):
            continue  # its end was archived meanwhile
        values = {
            "namespace": namespace, "run_id": moment.run_id, "created_us": moment.created_us,
            "generation": moment.generation, "rev": moment.rev, "runner": moment.runner,
            "state": moment.state, "step": moment.step, "seen_at": moment.at,
            "document": rows.write_json(moment.document),
        }  # fmt: skip
        write = insert(connection, live).values(values)
        connection.execute(
            write.on_conflict_do_update(
                index_elements=["namespace", "run_id"],
                set_={name: write.excluded[name] for name in values},
                where=(live.c.created_us < write.excluded.created_us)
                | ((live.c.created_us == write.excluded.created_us)
                   & (live.c.rev < write.excluded.rev)),
            )
        )  # fmt: skip


def _ended(
    connection: Connection, namespace: str, moments: Sequence[Moment]
) -> dict[tuple[str, int], int]:
    """Say when those runs ended of which the archive holds an end, in microseconds."""
    query = (
        select(runs.c.run_id, runs.c.created_us, func.max(runs.c.ended_us))
        .where(runs.c.namespace == namespace, runs.c.run_id.in_([each.run_id for each in moments]))
        .group_by(runs.c.run_id, runs.c.created_us)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def load_live(connection: Connection, namespace: str, run_id: str) -> tuple[Snapshot, Any] | None:
    """Read a live run as the mirror has it, as a snapshot with its document."""
    query = select(live).where(live.c.namespace == namespace, live.c.run_id == run_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    found = Snapshot(
        0, run_id, row["generation"], row["state"], row["step"], row["seen_at"], "mirror"
    )
    return found, rows.read_document(row["document"], f"the mirror of run {run_id!r}")


def _of_run(namespace: str, run_id: str) -> Any:
    return select(*_LISTED).where(snapshots.c.namespace == namespace, snapshots.c.run_id == run_id)


def _read(row: Mapping[Any, Any]) -> Snapshot:
    return Snapshot(
        row["number"], row["run_id"], row["generation"], row["state"], row["step"],
        row["taken_at"], row["why"],
    )  # fmt: skip
