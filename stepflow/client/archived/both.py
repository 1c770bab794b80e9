"""Runs of Redis and then of the archive in one list, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from stepflow.archive.values import ArchivedPage, ArchivedRun
from stepflow.core.ids import check_count, check_text
from stepflow.core.run import ENDS, RunState, RunStatus
from stepflow.engine.env import Env
from stepflow.engine.listing import Page, list_runs
from stepflow.store.calls import batch_of
from stepflow.store.runs import load_run
from stepflow.times import as_datetime, seconds, unix_time

if TYPE_CHECKING:
    from stepflow.archive.where import Where

#: what a cursor begins with that is one of the archive
_ARCHIVE = "archive:"


class ListOptions(TypedDict, total=False):
    """What `client.list` takes as well."""

    state: str | None
    runner: str | None
    limit: int
    cursor: str | None
    queue: str | None
    parent: str | None
    roots: bool
    since: float | datetime | timedelta | None
    headers: Mapping[str, str] | None
    tags: Mapping[str, str] | None
    where: str | None
    values: bool


class Asked:
    """A page that is asked for: what of it is of Redis, what of the archive."""

    def __init__(self, options: ListOptions) -> None:
        self._options = options
        self.limit = check_count("limit", options.get("limit", 50), least=1)
        given = options.get("cursor")
        cursor = "" if given is None else check_text("cursor", given, least=0, most=10_000)
        #: whether all that Redis has stood on pages before
        self.is_past_redis = cursor.startswith(_ARCHIVE)
        #: the cursor of the archive's part; None for its beginning
        self.cursor = cursor.removeprefix(_ARCHIVE) or None if self.is_past_redis else None

    async def of_redis(self, env: Env) -> Page:
        """Read the part that Redis has."""
        if self.is_past_redis:
            return Page((), None, 0)
        page = await list_runs(env, **self._options)
        if page.cursor is None and len(page.runs) >= self.limit:
            return Page(page.runs, _ARCHIVE, page.scanned)
        return page

    def of_archive(self) -> Where | None:
        """Say which archived runs are asked for; None for none, for only live ones are."""
        from stepflow.archive.where import Where  # noqa: PLC0415  it speaks SQL

        asked, now = self._options, datetime.now(UTC).timestamp()
        state, since = asked.get("state"), asked.get("since")
        if state is not None and state not in list(ENDS):
            return None
        if isinstance(since, timedelta):
            since = now - seconds(since, "since of a listing")
        return Where(
            state=state, runner=asked.get("runner"), queue=asked.get("queue"),
            parent=asked.get("parent"), is_root=asked.get("roots", False),
            headers=asked.get("headers") or {}, tags=asked.get("tags") or {},
            created_since=None if since is None else unix_time(since, "since of a listing"),
        ).reading(asked.get("where"), now)  # fmt: skip


async def joined(page: Page, found: ArchivedPage, env: Env) -> Page:
    """Put archived runs below those of Redis, without those that Redis still has."""
    known = await batch_of([load_run(env.keys, run.id) for run in found.runs])
    there = {
        (run.id, run.generation, as_datetime(run.created_at)) for run in known if run is not None
    }
    older = [
        status_of(run)
        for run in found.runs
        if (run.id, run.generation, run.created_at) not in there
    ]
    cursor = None if found.cursor is None else f"{_ARCHIVE}{found.cursor}"
    scanned = page.scanned + len(found.runs) + len(found.unreadable)
    return Page([*page.runs, *older], cursor, scanned)


def status_of(run: ArchivedRun) -> RunStatus:
    """Give an archived run as lists show runs."""
    return RunStatus(
        run.id, run.runner, RunState(run.state), run.queue, step=run.step, attempt=run.attempts,
        generation=run.generation, headers=run.headers, payload=run.payload, result=run.result,
        error=run.error, reason=run.reason, created_at=run.created_at, started_at=run.started_at,
        updated_at=run.ended_at, ended_at=run.ended_at, version=run.version, parent=run.parent,
        tags=run.tags, group=run.group, is_archived=True,
    )  # fmt: skip
