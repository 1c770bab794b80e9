"""The database of an archive: its URL, its pool, its transactions, its errors in our words."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.pool import StaticPool

from stepflow.archive.migrate import migrate
from stepflow.errors import (
    ArchiveConflict,
    ArchiveMisconfigured,
    ArchiveUnreachable,
    StepflowError,
)
from stepflow.settings import ArchiveSettings

#: an archive that ends with its process: for tests
MEMORY = "memory://"
#: what the program that carries out our SQL is called, by the database's name in a URL
_DRIVERS = {
    "postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg", "sqlite": "sqlite", "sqlite+pysqlite": "sqlite",
}  # fmt: skip
_KNOWN = "use postgresql://user@host/database or sqlite:///path"
#: how the SQLSTATE of PostgreSQL begins where a value is beyond what it can do: a program limit,
#: or an internal error, such as more memory for one value than there can be
_TOO_MUCH = ("54", "XX000")
#: options of a URL that are no secret
_OPEN = ("host", "port", "user", "dbname", "sslmode", "service", "application_name")
#: an option of a transaction that writes
_WRITES = "stepflow_writes"


class Database:
    """
    One database, reached from any thread; it connects, and makes its tables, on first use.

    Raises ArchiveMisconfigured for a URL that it cannot use.
    """

    def __init__(self, settings: ArchiveSettings) -> None:
        self.url = _read_url(settings.url or MEMORY)
        self.shown = _shown(self.url)
        self._engine = _make_engine(self.url, settings)
        self._lock = threading.Lock()
        self._is_ready = False
        _all.add(self)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection that reads."""
        self._prepare()
        with self._in_words(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection within a transaction: all that is written, or nothing."""
        self._prepare()
        with self._in_words(), self._begun() as connection:
            yield connection

    def leave_to_parent(self) -> None:
        """Leave the connections to the process that this one was forked off, and make others."""
        self._lock = threading.Lock()  # whoever held it is not here
        if not isinstance(self._engine.pool, StaticPool):  # which holds the tables themselves
            self._engine.dispose(close=False)

    def close(self) -> None:
        """Close the connections of the pool."""
        self._engine.dispose()

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with self._engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    def _prepare(self) -> None:
        if self._is_ready:
            return
        with self._lock:
            if not self._is_ready:
                with self._in_words(), self._begun() as connection:
                    migrate(connection)
                self._is_ready = True

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        """Turn what the database raises into an error of ours, which says no secret."""
        try:
            yield
        except StepflowError:
            raise
        except (SQLAlchemyError, OSError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> StepflowError:
        problem = _problem(error)
        match error:
            case DataError() | IntegrityError():
                return ArchiveConflict(self.shown, problem)
            case DBAPIError() if str(getattr(error.orig, "sqlstate", "")).startswith(_TOO_MUCH):
                return ArchiveConflict(self.shown, problem)
            case ProgrammingError() if not _is_lost(error):
                return ArchiveMisconfigured(
                    f"{self.shown} refuses ({problem})",
                    "give its user the rights to create and write tables, or correct the URL",
                )
        return ArchiveUnreachable(self.shown, problem)


def _in_child() -> None:
    for database in list(_all):
        database.leave_to_parent()


#: those of this process
_all: WeakSet[Database] = WeakSet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def _is_lost(error: DBAPIError) -> bool:
    return bool(error.connection_invalidated)


def _problem(error: Exception) -> str:
    """Give the first line of what the database said: neither SQL nor values."""
    said = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return (str(said).strip().splitlines() or [type(said).__name__])[0]


def _read_url(url: str) -> URL:
    if url == MEMORY:
        return make_url("sqlite://")
    try:
        read = make_url(url)
        driver = _DRIVERS.get(read.drivername)
    except (ArgumentError, ValueError):
        raise ArchiveMisconfigured("its URL is none", _KNOWN) from None
    if driver is None:
        raise ArchiveMisconfigured(f"it knows no database {read.drivername!r}", _KNOWN)
    return read.set(drivername=driver)


def _shown(url: URL) -> str:
    """Write a URL without its secrets: options that may be one are hidden, too."""
    query = {name: held if name in _OPEN else "***" for name, held in url.query.items()}
    return url.set(query=query).render_as_string(hide_password=True).replace("%2A", "*")


def _make_engine(url: URL, settings: ArchiveSettings) -> Engine:
    """Make the pool; nothing is connected yet."""
    is_memory = url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}
    options: dict[str, Any] = (
        {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
        if is_memory
        else {
            "pool_size": settings.pool_size, "max_overflow": 0, "pool_pre_ping": True,
            "pool_timeout": settings.pool_timeout_s, "connect_args": _connecting(url, settings),
        }
    )  # fmt: skip
    try:
        engine = create_engine(url, hide_parameters=True, **options)
    except (ImportError, NoSuchModuleError) as error:
        raise ArchiveMisconfigured(
            f"a driver is missing ({error})", "install stepflow-rq[archive]"
        ) from None
    if url.get_backend_name() == "sqlite":
        _set_up_sqlite(engine)
    return engine


def _connecting(url: URL, settings: ArchiveSettings) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": settings.statement_timeout_s}
    return {
        "connect_timeout": max(1, round(settings.connect_timeout_s)),
        "options": f"-c statement_timeout={round(settings.statement_timeout_s * 1000)}",
        "application_name": "stepflow",
        # a server that is silently gone is noticed within half a minute or so
        "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        "tcp_user_timeout": round(settings.statement_timeout_s * 1000),
    }  # fmt: skip


def _set_up_sqlite(engine: Engine) -> None:
    """Have SQLite keep its foreign keys, and lock at the beginning of a transaction that writes."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else the driver begins transactions by itself
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
