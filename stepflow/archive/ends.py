"""Ends of runs are written, each once, and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, func, select

from stepflow.archive import rows
from stepflow.archive.insert import add, add_new
from stepflow.archive.schema import documents, labels, live, runs, snapshots, steps
from stepflow.archive.values import ArchivedPage, ArchivedRun, ArchivedStep, End, Pruned
from stepflow.archive.where import Where, after, cursor_of
from stepflow.errors import UnreadableArchive

#: what one end is known by
_ONCE = ("run_id", "created_us", "generation", "ends")
#: the columns of a list: all but the traceback, which may be long
_LISTED = [column for column in runs.c if column.name != "traceback"]


def write_ends(connection: Connection, namespace: str, ends: Sequence[End]) -> int:
    """
    Write *ends*, each of which counts once however often it comes; gives how many were new.

    They are written in the order of what they are known by: two who write the same wait for each
    other, and never both.
    """
    given = {_key(row): (row, end) for end in ends for row in [rows.row_of_run(namespace, end.run)]}
    if not given:
        return 0
    new = add_new(connection, runs, [given[key][0] for key in sorted(given)], ("number", *_ONCE))
    written = [(row["number"], given[_key(row)][1]) for row in new]
    _write_parts(connection, written)
    _forget_live(connection, namespace, ends)
    return len(written)


def _key(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _ONCE)


def _write_parts(connection: Connection, written: Sequence[tuple[int, End]]) -> None:
    """Write what stands beside new rows."""
    parts: dict[Table, list[dict[str, Any]]] = {labels: [], steps: [], documents: []}
    for number, end in written:
        parts[labels] += rows.rows_of_labels(number, end.run)
        parts[steps] += rows.rows_of_steps(number, end)
        if end.document:
            document = rows.write_json(end.document)
            parts[documents].append({"run": number, "document": document})
    for table, values in parts.items():
        if values:
            add(connection, table, values)


def _forget_live(connection: Connection, namespace: str, ends: Sequence[End]) -> None:
    """Take what ended out of the mirror of live runs, unless it has begun anew since."""
    began: dict[str, int] = {}
    for end in ends:
        created_us = rows.microseconds(end.run.created_at)
        began[end.run.id] = max(created_us, began.get(end.run.id, created_us))
    mirrored = select(live.c.run_id, live.c.created_us).where(
        live.c.namespace == namespace, live.c.run_id.in_(began)
    )
    for run_id, created_us in connection.execute(mirrored).all():
        if created_us <= began[run_id]:
            connection.execute(
                delete(live).where(
                    live.c.namespace == namespace, live.c.run_id == run_id,
                    live.c.created_us <= began[run_id],
                )
            )  # fmt: skip


def find_ends(
    connection: Connection, namespace: str, where: Where, *, limit: int, cursor: str | None
) -> ArchivedPage:
    """Give a page of runs, newest ends first; rows that cannot be read are left out and named."""
    found = connection.execute(
        select(*_LISTED)
        .where(*where.conditions(namespace), after(cursor))
        .order_by(runs.c.ended_us.desc(), runs.c.number.desc())
        .limit(limit)
    ).mappings().all()  # fmt: skip
    read, unreadable = [], []
    for row in found:
        try:
            read.append(rows.read_run({"traceback": None, **row}))
        except UnreadableArchive:
            unreadable.append(rows.name_of(row))
    return ArchivedPage(read, cursor_of(found[-1]) if len(found) == limit else None, unreadable)


def load_end(
    connection: Connection,
    namespace: str,
    run_id: str,
    generation: int | None = None,
    end: int | None = None,
) -> ArchivedRun | None:
    """Read the last end of a run, or a certain one; None when it is not archived."""
    wanted = [runs.c.namespace == namespace, runs.c.run_id == run_id]
    if generation is not None:
        wanted.append(runs.c.generation == generation)
    if end is not None:
        wanted.append(runs.c.ends == end)
    query = select(runs).where(*wanted).order_by(runs.c.ended_us.desc(), runs.c.number.desc())
    row = connection.execute(query.limit(1)).mappings().first()
    return None if row is None else rows.read_run(row)


def load_steps(
    connection: Connection, numbers: Sequence[int]
) -> tuple[dict[int, list[ArchivedStep]], list[str]]:
    """Read the steps of archived runs by the number of their row, and name the unreadable ones."""
    query = select(steps).where(steps.c.run.in_(numbers)).order_by(steps.c.run, steps.c.place)
    found: dict[int, list[ArchivedStep]] = {number: [] for number in numbers}
    unreadable = []
    for row in connection.execute(query).mappings():
        try:
            found[row["run"]].append(rows.read_step(row))
        except UnreadableArchive as error:
            unreadable.append(str(error))
    return found, unreadable


def load_document(connection: Connection, number: int) -> Any:
    """Read the document of an archived run; None where there is none."""
    query = select(documents.c.document).where(documents.c.run == number)
    row = connection.execute(query).first()
    return None if row is None else rows.read_document(row[0], f"the document of row {number}")


def count_ends(connection: Connection, namespace: str, where: Where) -> Pruned:
    """Count what fits, by its end, and say from when to when it ended."""
    query = (
        select(
            runs.c.state, func.count(), func.min(runs.c.ended_at), func.max(runs.c.ended_at)
        )
        .where(*where.conditions(namespace))
        .group_by(runs.c.state)
    )  # fmt: skip
    found = [tuple(row) for row in connection.execute(query)]
    return Pruned(
        sum(row[1] for row in found),
        {row[0]: row[1] for row in found},
        min((row[2] for row in found), default=None),
        max((row[3] for row in found), default=None),
        is_dry=True,
    )


def delete_ends(connection: Connection, namespace: str, where: Where, *, limit: int) -> int:
    """Delete the first *limit* ends that fit, with all that stands beside them; gives how many."""
    query = (
        select(runs.c.number, runs.c.run_id)
        .where(*where.conditions(namespace))
        .order_by(runs.c.ended_us, runs.c.number)
        .limit(limit)
    )
    found = connection.execute(query).all()
    if found:
        connection.execute(delete(runs).where(runs.c.number.in_([row.number for row in found])))
        _forget_snapshots(connection, namespace, where, [row.run_id for row in found])
    return len(found)


def _forget_snapshots(
    connection: Connection, namespace: str, where: Where, run_ids: Sequence[str]
) -> None:
    """Delete the snapshots of runs of which the archive holds no end any more."""
    held = select(runs.c.run_id).where(runs.c.namespace == namespace, runs.c.run_id.in_(run_ids))
    gone = [
        snapshots.c.namespace == namespace, snapshots.c.run_id.in_(run_ids),
        snapshots.c.run_id.not_in(held),
    ]  # fmt: skip
    if where.until is not None:  # a run of that id may live again
        gone.append(snapshots.c.taken_at < where.until)
    connection.execute(delete(snapshots).where(*gone))
