"""The archive of one name space, as clients and workers use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import text

from stepflow.archive import ends, snapshots
from stepflow.archive.database import Database
from stepflow.archive.given import MOST_ROWS, check_run, check_some_count
from stepflow.archive.migrate import VERSION, version_of
from stepflow.archive.values import (
    ArchivedPage,
    ArchivedRun,
    ArchivedStep,
    ArchiveHealth,
    End,
    Pruned,
    Snapshot,
)
from stepflow.archive.where import Where
from stepflow.core.ids import check_count, check_run_id
from stepflow.errors import NotArchived
from stepflow.settings import ArchiveSettings

#: rows that retention takes away in one transaction
BATCH = 1000


class Archive:
    """
    Ended runs in a SQL database; you may share it between threads.

    It connects on first use. Calls raise ArchiveUnreachable when the database does not answer, and
    ArchiveMisconfigured when it cannot be used.
    """

    def __init__(self, settings: ArchiveSettings, namespace: str = "stepflow") -> None:
        self.settings = settings
        self.namespace = namespace
        self._database = Database(settings)

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return self._database.shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._database.close()

    def health(self) -> ArchiveHealth:
        """Say where it is, the version of its tables and how many ends it holds, or raise."""
        with self._database.reading() as connection:
            found = ends.count_ends(connection, self.namespace, Where())
            return ArchiveHealth(self.url, version_of(connection), VERSION, found.runs)

    def ping(self) -> None:
        """Ask whether it is there, or raise."""
        with self._database.reading() as connection:
            connection.execute(text("SELECT 1"))

    def write(self, given: Sequence[End]) -> int:
        """Write ends, in one transaction; gives how many were new, for each counts once."""
        with self._database.writing() as connection:
            return ends.write_ends(connection, self.namespace, given)

    def list(
        self, where: Where | None = None, *, limit: int = 50, cursor: str | None = None
    ) -> ArchivedPage:
        """List runs, the newest end first; pass the page's `cursor` for the next one."""
        check_count("limit", limit, least=1)
        with self._database.reading() as connection:
            return ends.find_ends(
                connection, self.namespace, where or Where(), limit=limit, cursor=cursor
            )

    def get(
        self, run_id: str, *, generation: int | None = None, end: int | None = None
    ) -> ArchivedRun:
        """Read the last end of a run, or a certain one; raises NotArchived."""
        check_run_id(run_id)
        check_some_count("generation", generation)
        check_some_count("end", end)
        with self._database.reading() as connection:
            found = ends.load_end(connection, self.namespace, run_id, generation, end)
        if found is None:
            raise NotArchived(run_id)
        return found

    def steps(self, run: ArchivedRun) -> Sequence[ArchivedStep]:
        """Read the steps of a run that was read, without those that cannot be."""
        return self.steps_of([run])[0]

    def steps_of(self, found: Sequence[ArchivedRun]) -> Sequence[Sequence[ArchivedStep]]:
        """Read the steps of many runs with one query."""
        numbers = [check_run(run).number for run in found]
        with self._database.reading() as connection:
            steps, _ = ends.load_steps(connection, numbers)
        return [steps[number] for number in numbers]

    def document(self, run: ArchivedRun) -> dict[str, Any] | None:
        """Read all that Redis kept of a run, as `stepflow export` writes it; None for nothing."""
        number = check_run(run).number
        with self._database.reading() as connection:
            found: dict[str, Any] | None = ends.load_document(connection, number)
            return found

    def prune(
        self,
        older_than: timedelta,
        *,
        state: str | None = None,
        runner: str | None = None,
        dry_run: bool = False,
        now: datetime | None = None,
    ) -> Pruned:
        """
        Delete the runs that ended before *older_than*, in batches; with *dry_run* only count them.

        Live runs are never touched.
        """
        until = (now or datetime.now(UTC)) - older_than
        where = Where(until=until, state=state, runner=runner)
        with self._database.reading() as connection:
            fits = ends.count_ends(connection, self.namespace, where)
        if dry_run:
            return fits
        gone = 0
        while batch := self._prune(where):
            gone += batch
        return replace(fits, runs=gone, is_dry=False)

    def _prune(self, where: Where) -> int:
        with self._database.writing() as connection:
            return ends.delete_ends(connection, self.namespace, where, limit=BATCH)

    def every(self, where: Where | None = None, *, page: int = 200) -> Iterator[ArchivedPage]:
        """Give all pages, one after the other."""
        cursor = None
        while True:
            found = self.list(where, limit=page, cursor=cursor)
            yield found
            if (cursor := found.cursor) is None:
                return

    def take(self, moment: snapshots.Moment) -> int:
        """Keep a snapshot of a run, and the last few of it; gives its number."""
        with self._database.writing() as connection:
            return snapshots.write_snapshot(
                connection, self.namespace, moment, keeps=self.settings.snapshots
            )

    def mirror(self, moments: Sequence[snapshots.Moment]) -> None:
        """Keep live runs as they stand now."""
        with self._database.writing() as connection:
            snapshots.write_live(connection, self.namespace, moments)

    def snapshots(self, run_id: str) -> Sequence[Snapshot]:
        """List the snapshots that are kept of a run, the newest first."""
        check_run_id(run_id)
        with self._database.reading() as connection:
            return snapshots.list_snapshots(connection, self.namespace, run_id)

    def snapshot(self, run_id: str, number: int | None = None) -> tuple[Snapshot, Any]:
        """Read a snapshot and its document, the latest without a *number*; raises NotArchived."""
        check_run_id(run_id)
        check_some_count("a snapshot", number, most=MOST_ROWS)
        with self._database.reading() as connection:
            found = snapshots.load_snapshot(connection, self.namespace, run_id, number)
        if found is None:
            raise NotArchived(run_id, "snapshot" if number is None else f"snapshot {number}")
        return found

    def mirrored(self, run_id: str) -> tuple[Snapshot, Any] | None:
        """Read a live run as it was last seen; None where it is not mirrored."""
        check_run_id(run_id)
        with self._database.reading() as connection:
            return snapshots.load_live(connection, self.namespace, run_id)
