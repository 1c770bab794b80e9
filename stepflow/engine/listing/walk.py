"""Goes down a list of runs, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stepflow.core.ids import check_count, check_pairs
from stepflow.core.run import RunStatus
from stepflow.engine.env import Env
from stepflow.engine.listing.cursor import Cursor, Mark
from stepflow.engine.listing.filters import RunFilter, read_state
from stepflow.engine.listing.rows import Row, fitting
from stepflow.engine.listing.sources import Kind, Source, sources_of
from stepflow.engine.steering.where import Where
from stepflow.errors import InvalidOption
from stepflow.store.calls import batch_of
from stepflow.store.query import newest, oldest
from stepflow.store.runs import load_run
from stepflow.times import seconds, unix_time

#: index members looked at in one round trip
PAGE = 200
#: runs looked at for one page where no index holds what is asked for
MOST_SCANNED = 5_000


@dataclass(frozen=True, slots=True)
class Page:
    """
    Part of a listing, newest first; *cursor* continues it, None at its end.

    A page may have fewer runs than were asked for, or none, and still a cursor: *scanned* runs were
    looked at for it.
    """

    runs: Sequence[RunStatus]
    cursor: str | None = None
    scanned: int = 0

    def __iter__(self) -> Iterator[RunStatus]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)


async def list_runs(
    env: Env,
    *,
    state: str | None = None,
    runner: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
    queue: str | None = None,
    parent: str | None = None,
    roots: bool = False,
    since: float | datetime | timedelta | None = None,
    headers: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    where: str | None = None,
    values: bool = True,
) -> Page:
    """
    List runs, newest first, at most *limit*; *cursor* is that of the page before.

    Merges the indexes that hold what is asked for, and filters by the runs' records. Where no index
    holds just that, a page looks at MOST_SCANNED runs at most.
    """
    if parent is not None and roots:
        msg = "a listing was asked for the children of a run and for runs without a parent"
        raise InvalidOption(msg)
    wanted = RunFilter(
        read_state(state), runner, queue, parent, roots, await _since(since, parent, env),
        check_pairs("headers of a listing", headers), check_pairs("tags of a listing", tags),
        Where() if where is None else Where.parse(where, env.clock.now()), values,
    )  # fmt: skip
    return await Walk(env, wanted, Cursor.read(cursor)).page(
        check_count("limit of a listing", limit)
    )


async def _since(
    since: float | datetime | timedelta | None, parent: str | None, env: Env
) -> float | None:
    """Say from when on (unix seconds) runs may fit: a child was made after its parent."""
    if isinstance(since, timedelta):
        since = env.clock.now() - seconds(since, "since of a listing")
    earliest = None if since is None else unix_time(since, "since of a listing")
    owner = None if parent is None else await load_run(env.keys, parent)
    made_at = [] if owner is None else [owner.created_at]
    return max([*made_at, *([] if earliest is None else [earliest])], default=None)


class Walk:
    """The way down one list, from a cursor on."""

    def __init__(self, env: Env, wanted: RunFilter, cursor: Cursor) -> None:
        self._env = env
        self._wanted = wanted
        self._cursor = cursor
        self._began_at = env.clock.now()
        self._sources = sources_of(wanted, env.keys)
        #: where runs come to stand that move up while somebody turns pages
        kinds = {source.kind for source in self._sources}
        is_mixed = Kind.TAG in kinds or {Kind.LIVE, Kind.ENDED} <= kinds
        self._rising = [
            source for source in self._sources
            if is_mixed and source.kind in {Kind.ENDED, Kind.TAG}
        ]  # fmt: skip
        self._found: dict[str, RunStatus] = {}
        self._scanned = 0

    async def page(self, limit: int) -> Page:
        """Give the next page of at most *limit* runs."""
        if self._cursor.news is not None and await self._go_up(limit):
            return self._page()
        rounds = 0
        while rows := await self._below(limit):
            rounds += 1
            if await self._take(rows, limit):
                return self._page()
        if rounds > 1 and self._cursor.news is not None and await self._go_up(limit):
            return self._page()
        return Page(list(self._found.values()), None, self._scanned)

    def _page(self) -> Page:
        return Page(list(self._found.values()), str(self._cursor), self._scanned)

    def _is_full(self, limit: int) -> bool:
        in_vain = len(self._found) if self._wanted.is_indexed else 0
        return len(self._found) >= limit or self._scanned - in_vain >= MOST_SCANNED

    async def _below(self, limit: int) -> list[Row]:
        """Read what comes next on the way down."""
        down, wanted = self._cursor.down, self._wanted
        most = min(PAGE, max(1, limit - len(self._found)) if wanted.is_indexed else PAGE)
        passed = set[str]() if down is None else down.run_ids
        found = await batch_of([
            newest(
                source.index, before=None if down is None else down.score, count=most + len(passed),
                since=wanted.since,
            )
            for source in self._sources
        ])  # fmt: skip
        rows = _rows(self._sources, found)
        if down is None:
            self._begin(rows)
        # a run that stands twice in one place is one row, and what this version wrote comes last
        one_each = {(row.run_id, row.score): row for row in rows if not self._is_passed(row)}
        return sorted(one_each.values(), key=lambda row: -row.score)[:most]

    def _is_passed(self, row: Row) -> bool:
        """Say whether a row at the very place that the walk has reached was looked at."""
        down = self._cursor.down
        return down is not None and row.score == down.score and row.run_id in down.run_ids

    def _begin(self, rows: Sequence[Row]) -> None:
        """Set the two marks: all that stands above the highest end from now on is news."""
        self._cursor.down = Mark(float("inf"))
        if not self._rising:
            return
        news = Mark(0.0)
        for row in rows:
            if row.source in self._rising and row.score >= news.score:
                news.move_to(row.run_id, row.score)
        self._cursor.news = news

    async def _take(self, rows: Sequence[Row], limit: int) -> bool:
        """Take those that fit, in their order; True when the page is full."""
        assert self._cursor.down is not None
        found = await fitting(rows, self._wanted, self._env, began_at=self._began_at)
        for row in rows:
            self._cursor.down.move_to(row.run_id, row.score)
            self._scanned += 1
            if row in found:
                self._found.setdefault(row.run_id, found[row])
            if self._is_full(limit):
                return True
        return False

    async def _go_up(self, limit: int) -> bool:
        """
        Take the runs that have moved up since the page before, and were not shown before that.

        True when the page is full.
        """
        down, news = self._cursor.down, self._cursor.news
        assert down is not None
        assert news is not None
        while True:
            found = await batch_of(
                [
                    oldest(source.index, since=news.score, count=PAGE + len(news.run_ids))
                    for source in self._rising
                ]
            )
            rows = sorted(_rows(self._rising, found), key=lambda row: row.score)
            rows = [row for row in rows if row.score > news.score or row.run_id not in news.run_ids]
            if not rows:
                return False
            fits = await fitting(rows[:PAGE], self._wanted, self._env, began_at=self._began_at)
            for row in rows[:PAGE]:
                news.move_to(row.run_id, row.score)
                self._scanned += 1
                if row in fits and _was_below(down, fits[row]):
                    self._found.setdefault(row.run_id, fits[row])
                if self._is_full(limit):
                    return True


def _rows(sources: Sequence[Source], found: Sequence[Sequence[tuple[str, float]]]) -> list[Row]:
    return [
        Row(run_id, score, source)
        for source, members in zip(sources, found, strict=True)
        for run_id, score in members
    ]


def _was_below(down: Mark, run: RunStatus) -> bool:
    """Say whether a run stood below a place of the list when it was live."""
    created_at = 0.0 if run.created_at is None else run.created_at.timestamp()
    return created_at < down.score or (created_at == down.score and run.id not in down.run_ids)
