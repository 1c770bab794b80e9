"""The tables are made, or brought up to date, once: by whoever comes first."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select, text

from stepflow.archive import schema
from stepflow.errors import ArchiveMisconfigured

#: the version of the tables that this code reads and writes
VERSION = schema.BROUGHT[-1][0]
#: of the advisory lock that one who migrates holds: "step" in ASCII
_LOCK = 0x73746570


def migrate(connection: Connection) -> int:
    """
    Bring the tables to `VERSION` within the transaction of *connection*; gives the version before.

    Raises ArchiveMisconfigured where a later version of stepflow has been at work.
    """
    lock(connection)
    found = version_of(connection)
    check_version(found)
    for version, tables in schema.BROUGHT:
        if version > found:
            schema.metadata.create_all(connection, tables=[schema.schema, *tables])
    if found < VERSION:
        connection.execute(schema.schema.delete())
        connection.execute(schema.schema.insert().values(version=VERSION))
    return found


def lock(connection: Connection) -> None:
    """Wait until nobody else migrates; SQLite's transaction that writes is such a lock itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def version_of(connection: Connection) -> int:
    """Read the version of the tables; 0 for none."""
    if not inspect(connection).has_table(schema.schema.name):
        return 0
    return connection.execute(select(schema.schema.c.version)).scalar() or 0


def check_version(found: int) -> None:
    """Refuse tables of a later version than this code knows."""
    if found > VERSION:
        raise ArchiveMisconfigured(
            f"its tables are of version {found}, and this stepflow knows version {VERSION}",
            "upgrade stepflow here, or use another database",
        )
