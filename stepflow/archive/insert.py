"""
Rows are inserted, many with one statement.

PostgreSQL gets them as one JSON text: a statement with a place for each value of each row takes
several times as long to put together as to carry out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, TextClause, text
from sqlalchemy.dialects import postgresql, sqlite

Values = Mapping[str, Any]


def insert(connection: Connection, table: Table) -> Any:
    """Give the INSERT of this database, which knows ON CONFLICT."""
    return (postgresql if _is_postgres(connection) else sqlite).insert(table)


def add(connection: Connection, table: Table, values: Sequence[Values]) -> None:
    """Insert rows."""
    if _is_postgres(connection):
        connection.execute(_from_json(table), {"values": _written(values)})
    else:
        connection.execute(table.insert(), values)


def add_new(
    connection: Connection, table: Table, values: Sequence[Values], names: Sequence[str]
) -> Sequence[Mapping[Any, Any]]:
    """Insert those rows that are not there, in this order; gives the columns *names* of them."""
    if _is_postgres(connection):
        what = _from_json(table, f"ON CONFLICT DO NOTHING RETURNING {', '.join(names)}")
        return connection.execute(what, {"values": _written(values)}).mappings().all()
    new = insert(connection, table).on_conflict_do_nothing()
    return (
        connection.execute(new.returning(*(table.c[name] for name in names)), values)
        .mappings()
        .all()
    )


@cache
def _from_json(table: Table, then: str = "") -> TextClause:
    names = ", ".join(column.name for column in table.c if not _is_counted(column))
    rows = f"json_populate_recordset(NULL::{table.name}, :values)"
    return text(f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {rows} {then}")  # noqa: S608  names of our own tables


def _is_counted(column: Any) -> bool:
    """Whether the database counts it up by itself."""
    return bool(column.primary_key and column.name == "number")


def _written(values: Sequence[Values]) -> str:
    return json.dumps(values, default=datetime.isoformat)


def _is_postgres(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
