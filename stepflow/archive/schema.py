"""
The tables, one schema for SQLite and PostgreSQL.

`stepflow_runs` has a row for each end. What is large stands beside it: documents, steps.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine


class Moment(TypeDecorator[Any]):
    """
    A time in UTC: `timestamptz` in PostgreSQL, ISO 8601 text in SQLite.

    Text that is no time comes out as it is, so that one bad row spoils no page.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = String(40) if dialect.name == "sqlite" else self.impl_instance
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        if not isinstance(value, datetime):
            return value
        at = value.astimezone(UTC)
        return at.isoformat(timespec="microseconds") if dialect.name == "sqlite" else at

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        del dialect
        if not isinstance(value, str):
            return value
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return value


#: a key that counts up: SQLite counts only INTEGER
_COUNTED = BigInteger().with_variant(Integer, "sqlite")
metadata = MetaData()


def _begun_as(*, is_key: bool = False) -> tuple[Column[Any], ...]:
    """Give what a run is known by: its name space, its id, its submit, its generation."""
    return (
        Column("namespace", String(32), nullable=False, primary_key=is_key),
        Column("run_id", String(128), nullable=False, primary_key=is_key),
        # microseconds since 1970: what an id was used for before is told apart by these
        Column("created_us", BigInteger, nullable=False),
        Column("generation", Integer, nullable=False),
    )


def _of_run() -> Column[Any]:
    """Point at a row of `stepflow_runs`, and go with it."""
    return Column(
        "run", _COUNTED, ForeignKey("stepflow_runs.number", ondelete="CASCADE"), nullable=False
    )


#: one row: the version of the tables
schema = Table("stepflow_schema", metadata, Column("version", Integer, nullable=False))

runs = Table(
    "stepflow_runs",
    metadata,
    Column("number", _COUNTED, primary_key=True),
    *_begun_as(),
    # and the places of lists by these
    Column("ended_us", BigInteger, nullable=False),
    Column("ends", Integer, nullable=False),
    Column("runner", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("queue", String(80), nullable=False),
    Column("step", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parent", String(128)),
    Column("origin", String(200)),
    Column("run_group", String(200)),
    Column("schedule", String(200)),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment, nullable=False),
    Column("took_s", Float, nullable=False),
    Column("error_type", Text),
    Column("error", Text),
    Column("traceback", Text),
    Column("reason", Text),
    Column("headers", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("payload", Text),
    Column("result", Text),
    Column("is_whole", Boolean, nullable=False),
    UniqueConstraint(
        "namespace", "run_id", "created_us", "generation", "ends", name="stepflow_runs_once"
    ),
)
Index("stepflow_runs_ended", runs.c.namespace, runs.c.ended_us, runs.c.number)
Index("stepflow_runs_runner", runs.c.namespace, runs.c.runner, runs.c.ended_us)
Index("stepflow_runs_state", runs.c.namespace, runs.c.state, runs.c.ended_us)
Index("stepflow_runs_parent", runs.c.namespace, runs.c.parent)

#: headers and tags, to find runs by
labels = Table(
    "stepflow_labels",
    metadata,
    _of_run(),
    Column("kind", String(8), nullable=False),
    Column("name", String(200), nullable=False),
    Column("value", Text, nullable=False),
)
Index("stepflow_labels_run", labels.c.run)
Index("stepflow_labels_name", labels.c.kind, labels.c.name)

steps = Table(
    "stepflow_steps",
    metadata,
    _of_run(),
    Column("place", Integer, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("started_at", Moment),
    Column("ended_at", Moment),
    Column("took_s", Float),
    Column("worker", Text),
    Column("error", Text),
    Column("value", Text),
    UniqueConstraint("run", "place", name="stepflow_steps_once"),
)

#: of each run the document that `stepflow export` writes
documents = Table(
    "stepflow_documents",
    metadata,
    Column(
        "run",
        _COUNTED,
        ForeignKey("stepflow_runs.number", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("document", Text, nullable=False),
)

snapshots = Table(
    "stepflow_snapshots",
    metadata,
    Column("number", _COUNTED, primary_key=True),
    *_begun_as(),
    Column("rev", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("step", Integer, nullable=False),
    Column("taken_at", Moment, nullable=False),
    Column("why", Text, nullable=False),
    Column("document", Text, nullable=False),
)
Index("stepflow_snapshots_run", snapshots.c.namespace, snapshots.c.run_id, snapshots.c.number)

#: runs that have not ended, where they are mirrored
live = Table(
    "stepflow_live",
    metadata,
    *_begun_as(is_key=True),
    Column("rev", Integer, nullable=False),
    Column("runner", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("step", Integer, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("document", Text, nullable=False),
)
Index("stepflow_live_state", live.c.namespace, live.c.state)

#: by version, the tables that it brought. A version that changes one adds its ALTERs in
#: `migrate.py`, and leaves the first form of the table there
BROUGHT = ((1, (runs, labels, steps, documents, snapshots)), (2, (live,)))
