"""What both clients do with the archive; loaded when you first ask for `client.archive`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from stepflow.archive.values import (
    ArchivedPage,
    ArchivedRun,
    ArchivedStep,
    ArchiveHealth,
    Pruned,
    Snapshot,
)
from stepflow.client.archived.both import Asked, ListOptions, joined
from stepflow.core.ids import check_run_id, check_text
from stepflow.engine.listing import Page
from stepflow.engine.steering.audit import noted
from stepflow.engine.submit import Submitted
from stepflow.errors import ArchiveMisconfigured, NotArchived
from stepflow.store.calls import Plan
from stepflow.times import seconds, unix_time

if TYPE_CHECKING:
    from stepflow.archive.archive import Archive
    from stepflow.archive.snapshots import Moment
    from stepflow.archive.where import Where
    from stepflow.client.base import BaseClient
    from stepflow.client.doing import AsyncDoing, Doing

T = TypeVar("T")


class ArchiveConditions(TypedDict, total=False):
    """
    Which archived runs are meant; all of them have to be met.

    *since* and *until* bound the end of a run: a moment, or a timedelta back from now. *error* is a
    part of its error's text. *longer_than* and *shorter_than* are durations. *where* are
    conditions in one line, as `bulk` takes them.
    """

    run_id: str
    state: str
    runner: str
    version: int
    queue: str
    parent: str
    roots: bool
    headers: Mapping[str, str]
    tags: Mapping[str, str]
    since: float | datetime | timedelta
    until: float | datetime | timedelta
    error: str
    where: str
    longer_than: float | timedelta
    shorter_than: float | timedelta


class _Plans:
    """What both clients ask of the archive and of Redis."""

    def __init__(self, client: BaseClient) -> None:
        self._of = client
        self._archive: Archive | None = None

    @property
    def is_set_up(self) -> bool:
        """Whether this client has an archive at all."""
        return bool(self._of.settings.archive.url)

    def _open(self) -> Archive:
        """Give the archive, which connects on first use; what speaks SQL is loaded here."""
        if self._archive is None:
            if not self.is_set_up:
                raise ArchiveMisconfigured(
                    "it has no URL", "set STEPFLOW_ARCHIVE_URL, or make the app with archive=..."
                )
            try:
                from stepflow.archive.archive import Archive  # noqa: PLC0415  few have any
            except ImportError as error:
                raise ArchiveMisconfigured(
                    f"a library is missing ({error})", "install stepflow-rq[archive]"
                ) from None
            self._archive = Archive(self._of.settings.archive, self._of.env.keys.namespace)
        return self._archive

    def _take(self, run_id: str, why: str) -> Plan[Moment]:
        from stepflow.archive.collect import collect_moment  # noqa: PLC0415

        self._open()
        check_run_id(run_id)
        check_text("why", why, least=0, most=10_000, without="\0")
        return collect_moment(run_id, self._of.env, self._of.settings.archive.redact, why=why)

    def _restore(
        self, found: tuple[Snapshot, Any], new_id: str | None, by: str | None
    ) -> Plan[Submitted]:
        from stepflow.archive.restore import restore  # noqa: PLC0415

        snapshot, document = found
        plan = restore(document, str(snapshot), self._of.env, new_id=new_id)
        return noted(plan, "restore", snapshot.run_id, by, str(snapshot))

    def _latest(self, run_id: str, number: int | None) -> tuple[Snapshot, Any]:
        """
        Read what a run is restored from: a snapshot, else the mirror, else its last end.

        The latest of them, without a *number*. Raises NotArchived.
        """
        archive = self._open()
        if number is not None:
            return archive.snapshot(run_id, number)
        found = [each for each in _kept(archive, run_id) if each is not None]
        if not found:
            raise NotArchived(run_id)
        return max(found, key=lambda each: each[0].taken_at)


def _kept(archive: Archive, run_id: str) -> Iterator[tuple[Snapshot, Any] | None]:
    """Give what the archive has of a run that it can be restored from."""
    yield archive.snapshot(run_id) if archive.snapshots(run_id) else None
    yield archive.mirrored(run_id)
    try:
        run = archive.get(run_id)
    except NotArchived:
        return
    document = archive.document(run)
    if document is not None:
        yield (
            Snapshot(0, run_id, run.generation, run.state, run.step, run.ended_at, "end"),
            document,
        )


class Archives(_Plans):
    """The archive, for `Client`: `client.archive.list(state="failed", since=timedelta(days=7))`."""

    def __init__(self, client: BaseClient, doing: Doing) -> None:
        super().__init__(client)
        self._do = doing._do  # noqa: SLF001  one house

    def health(self) -> ArchiveHealth:
        """Say where the archive is and what it holds; raises ArchiveUnreachable."""
        return self._open().health()

    def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **conditions: Unpack[ArchiveConditions],
    ) -> ArchivedPage:
        """List archived runs, the newest end first; pass the page's `cursor` for the next one."""
        return self._open().list(_where(conditions), limit=limit, cursor=cursor)

    def list_both(self, **options: Unpack[ListOptions]) -> Page:
        """
        List runs of Redis, as `client.list` does, and below them those that only the archive has.

        Of each run `is_archived` says where it was read.
        """
        asked = Asked(options)
        page = self._do(asked.of_redis(self._of.env))
        where = None if page.cursor is not None else asked.of_archive()
        if where is None:
            return page
        limit = asked.limit - len(page.runs)
        found = self._open().list(where, limit=limit, cursor=asked.cursor)
        return self._do(joined(page, found, self._of.env))

    def get(
        self, run_id: str, *, generation: int | None = None, end: int | None = None
    ) -> ArchivedRun:
        """Read the last archived end of a run, or a certain one; raises NotArchived."""
        return self._open().get(run_id, generation=generation, end=end)

    def steps(self, run: ArchivedRun) -> Sequence[ArchivedStep]:
        """Read the steps of an archived run."""
        return self._open().steps(run)

    def document(self, run: ArchivedRun) -> dict[str, Any] | None:
        """Read all that Redis kept of the run when it ended, as `export` gives it."""
        return self._open().document(run)

    def export(
        self,
        *,
        with_errors: bool = False,
        redact: Sequence[str] = (),
        **conditions: Unpack[ArchiveConditions],
    ) -> Iterator[dict[str, Any]]:
        """
        Read archived steps for a data set: a dict each, input and output with what is known of it.

        Those that failed or gave nothing are left out unless *with_errors*; values under the keys
        *redact* are blanked.
        """  # fmt: skip
        from stepflow.archive.export import lines  # noqa: PLC0415

        yield from lines(self._open(), _where(conditions), redact, with_errors=with_errors)

    def prune(
        self,
        older_than: float | timedelta,
        *,
        state: str | None = None,
        runner: str | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """
        Delete the archived runs that ended longer ago than *older_than*, and their snapshots.

        With *dry_run* nothing is deleted, and what would be is counted.
        """
        return self._open().prune(_back(older_than), state=state, runner=runner, dry_run=dry_run)

    def snapshot(self, run_id: str, *, why: str = "") -> int:
        """Take a snapshot of a run in whatever state; gives its number. Raises RunNotFound."""
        moment = self._do(self._take(run_id, why))
        return self._open().take(moment)

    def snapshots(self, run_id: str) -> Sequence[Snapshot]:
        """List the snapshots that are kept of a run, the newest first."""
        return self._open().snapshots(run_id)

    def restore(
        self,
        run_id: str,
        snapshot: int | None = None,
        *,
        new_id: str | None = None,
        by: str | None = None,
    ) -> str:
        """
        Make a run that goes on from a snapshot of another one, also when Redis has lost that.

        Without a *snapshot* it goes on from the latest that the archive has: a snapshot, the
        mirror, or its end. The run itself is not touched. Gives the new run's id. Raises
        NotArchived, UnreadableHistory, and RunConflict when *new_id* is taken.
        """
        return self._do(self._restore(self._latest(run_id, snapshot), new_id, by)).id

    def close(self) -> None:
        """Close the connections to the database; the next call opens others."""
        if self._archive is not None:
            self._archive.close()


class AsyncArchives(_Plans):
    """See Archives; the database is asked in a thread."""

    def __init__(self, client: BaseClient, doing: AsyncDoing) -> None:
        super().__init__(client)
        self._do, self._do_aside = doing._do, doing._do_aside  # noqa: SLF001  one house

    async def health(self) -> ArchiveHealth:
        """See Archives.health."""
        return await self._call(lambda: self._open().health())

    async def list(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        **conditions: Unpack[ArchiveConditions],
    ) -> ArchivedPage:
        """See Archives.list."""
        where = _where(conditions)
        return await self._call(lambda: self._open().list(where, limit=limit, cursor=cursor))

    async def list_both(self, **options: Unpack[ListOptions]) -> Page:
        """See Archives.list_both."""
        asked = Asked(options)
        page = await self._do(asked.of_redis(self._of.env))
        where = None if page.cursor is not None else asked.of_archive()
        if where is None:
            return page
        limit = asked.limit - len(page.runs)
        found = await self._call(lambda: self._open().list(where, limit=limit, cursor=asked.cursor))
        return await self._do(joined(page, found, self._of.env))

    async def get(
        self, run_id: str, *, generation: int | None = None, end: int | None = None
    ) -> ArchivedRun:
        """See Archives.get."""
        return await self._call(lambda: self._open().get(run_id, generation=generation, end=end))

    async def steps(self, run: ArchivedRun) -> Sequence[ArchivedStep]:
        """See Archives.steps."""
        return await self._call(lambda: self._open().steps(run))

    async def document(self, run: ArchivedRun) -> dict[str, Any] | None:
        """See Archives.document."""
        return await self._call(lambda: self._open().document(run))

    async def export(
        self,
        *,
        with_errors: bool = False,
        redact: Sequence[str] = (),
        **conditions: Unpack[ArchiveConditions],
    ) -> AsyncIterator[dict[str, Any]]:
        """See Archives.export."""  # fmt: skip
        from stepflow.archive.export import lines  # noqa: PLC0415

        found = lines(self._open(), _where(conditions), redact, with_errors=with_errors)
        while (line := await self._call(lambda: next(found, None))) is not None:
            yield line

    async def prune(
        self,
        older_than: float | timedelta,
        *,
        state: str | None = None,
        runner: str | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """See Archives.prune."""
        age = _back(older_than)
        return await self._call(
            lambda: self._open().prune(age, state=state, runner=runner, dry_run=dry_run)
        )

    async def snapshot(self, run_id: str, *, why: str = "") -> int:
        """See Archives.snapshot."""
        moment = await self._do(self._take(run_id, why))
        return await self._call(lambda: self._open().take(moment))

    async def snapshots(self, run_id: str) -> Sequence[Snapshot]:
        """See Archives.snapshots."""
        return await self._call(lambda: self._open().snapshots(run_id))

    async def restore(
        self,
        run_id: str,
        snapshot: int | None = None,
        *,
        new_id: str | None = None,
        by: str | None = None,
    ) -> str:
        """See Archives.restore."""
        found = await self._call(lambda: self._latest(run_id, snapshot))
        return (await self._do_aside(self._restore(found, new_id, by))).id

    async def close(self) -> None:
        """See Archives.close."""
        if self._archive is not None:
            await self._call(self._archive.close)

    @staticmethod
    async def _call(call: Callable[[], T]) -> T:
        """Ask the database in a thread: its driver blocks."""
        return await asyncio.to_thread(call)


def _where(conditions: ArchiveConditions) -> Where:
    """Read conditions; raises InvalidOption for what is none."""
    from stepflow.archive.where import Where  # noqa: PLC0415

    given: dict[str, Any] = dict(conditions)
    wanted = {
        "since": _moment(given.pop("since", None), "since"),
        "until": _moment(given.pop("until", None), "until"),
        "longer_than_s": _duration(given.pop("longer_than", None), "longer_than"),
        "shorter_than_s": _duration(given.pop("shorter_than", None), "shorter_than"),
        "is_root": given.pop("roots", False),
    }
    said = given.pop("where", None)
    return Where(**given, **wanted).reading(said, datetime.now(UTC).timestamp())


def _moment(given: float | datetime | timedelta | None, what: str) -> datetime | None:
    if given is None:
        return None
    if isinstance(given, timedelta):
        return datetime.now(UTC) - _back(given)
    return datetime.fromtimestamp(unix_time(given, what), UTC)


def _duration(given: float | timedelta | None, what: str) -> float | None:
    return None if given is None else seconds(given, what)


def _back(age: float | timedelta) -> timedelta:
    return timedelta(seconds=min(seconds(age, "older_than"), _LONGEST_S))


#: seconds: an age that reaches back before all runs, and that datetime can still subtract
_LONGEST_S = 1000 * 365 * 86_400.0
