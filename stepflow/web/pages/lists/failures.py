"""The page of failures: what fails, how often, and since when; the newest end first."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from stepflow.core.run import RunState, RunStatus
from stepflow.web.pages.lists.rows import rows_of
from stepflow.web.pages.visit import Page, Shown, Visit

#: failed runs that are put into groups; each is read whole
LOOKED_AT = 200
#: rows of the page
ROWS = 50
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """Failures of one runner by one type of error: how many, from when to when, and the last."""

    runner: str
    error: str
    count: int
    first_at: datetime
    last_at: datetime
    last: RunStatus

    @property
    def where(self) -> str:
        """The conditions of its runs."""
        words = ["state=failed", f"runner={self.runner}"]
        return shlex.join([*words, f"error={self.error}"] if self.error else words)


def groups_of(failed: Iterable[RunStatus]) -> list[Group]:
    """Put failed runs into groups, the largest first."""
    found: dict[tuple[str, str], list[RunStatus]] = {}
    for run in failed:
        error = "" if run.error is None else run.error.type
        found.setdefault((run.runner, error), []).append(run)
    groups = [_group(*kind, runs) for kind, runs in found.items()]
    return sorted(groups, key=lambda group: (-group.count, group.last_at))


def _group(runner: str, error: str, runs: Sequence[RunStatus]) -> Group:
    by_end = sorted(runs, key=_ended_at)
    first, last = by_end[0], by_end[-1]
    return Group(runner, error, len(runs), _ended_at(first), _ended_at(last), last)


def _ended_at(run: RunStatus) -> datetime:
    return run.ended_at or _EARLIEST


async def failures(visit: Visit) -> Shown:
    """List what has failed: in groups, and the last runs one by one."""
    page = await visit.client.list(state=RunState.FAILED, limit=LOOKED_AT)
    failed = sorted(page.runs, key=_ended_at, reverse=True)
    values = {
        "groups": [(group, visit.error(group.last.error)) for group in groups_of(failed)],
        "rows": await rows_of(failed[:ROWS], visit), "looked_at": len(failed),
        "has_more": page.cursor is not None,
        "can_retry": visit.grant.allows("retry") and visit.grant.allows("bulk"),
    }  # fmt: skip
    return Shown("failures.html", values)


PAGES = (Page("/failures", failures, "Failures", "f"),)
