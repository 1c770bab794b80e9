"""Archives of each kind: the same tests run against all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text

from stepflow.archive import schema
from stepflow.archive.archive import Archive
from stepflow.archive.migrate import VERSION
from stepflow.archive.values import ArchivedRun, ArchivedStep, End
from stepflow.core.outcomes import ErrorInfo
from stepflow.settings import ArchiveSettings
from tests.postgres import Postgres, postgres

KINDS = ["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.crash)]
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)

MakeArchive = Callable[..., Archive]


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepflow.worker.archiving.rounds.LOOK_S", 0.05)


@pytest.fixture(scope="session")
def pg() -> Iterator[Postgres]:
    """A PostgreSQL of this test process's own."""
    with postgres() as server:
        yield server


@pytest.fixture(params=KINDS)
def archive_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty archive of each kind."""
    match request.param:
        case "memory":
            return "memory://"
        case "sqlite":
            return f"sqlite:///{tmp_path}/archive.db"
    server: Postgres = request.getfixturevalue("pg")
    empty(server.url)
    return server.url


def empty(url: str) -> None:
    """Leave the tables that are there without rows, and as this version has them."""
    with Archive(ArchiveSettings(url=url)) as archive, archive._database._begun() as sql:
        if inspect(sql).has_table(schema.schema.name):
            names = ", ".join(table.name for table in schema.metadata.sorted_tables)
            sql.execute(text(f"TRUNCATE {names}"))
            sql.execute(schema.schema.insert().values(version=VERSION))


@pytest.fixture
def make_archive(archive_url: str) -> Iterator[MakeArchive]:
    """Make archives of the same database, as several processes would."""
    made: list[Archive] = []

    def make(namespace: str = "stepflow", **settings: Any) -> Archive:
        made.append(Archive(ArchiveSettings(url=archive_url, **settings), namespace))
        return made[-1]

    yield make
    for archive in made:
        archive.close()


@pytest.fixture
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


def end(run_id: str, *, minute: int = 0, took_s: float = 1.0, **facts: Any) -> End:
    """An end of a run that began *minute* minutes after the first."""
    steps = facts.pop("steps", [ArchivedStep("step", "a", "succeeded", value={"n": 1})])
    document = facts.pop("document", {"format": 1, "run": {"id": run_id}})
    began = BEGAN + timedelta(minutes=minute)
    values = {
        "runner": "etl", "state": "succeeded", "created_at": began,
        "ended_at": began + timedelta(seconds=took_s), "started_at": began, **facts,
    }  # fmt: skip
    return End(ArchivedRun(run_id, **values), steps, document)


FAILED = ErrorInfo("TimeoutError", "the bank did not answer in 5 % of the time", "Traceback ...")
