"""The page of failures: what fails, how often, and since when; the newest end first."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from stepflow.core.counts import error_name
from stepflow.core.run import RunState, RunStatus
from stepflow.web.pages.lists.rows import rows_of
from stepflow.web.pages.lists.standing import looks_again, standing
from stepflow.web.pages.visit import Page, Shown, Visit

#: failed runs that are put into groups; each is read whole
LOOKED_AT = 200
#: rows of the page
ROWS = 50
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Group:
    """
    Failures of one runner by one type of error: how many, from when to when, and the last.

    *condition* finds those of the error, empty where there is none.
    """

    runner: str
    error: str
    condition: str
    count: int
    first_at: datetime
    last_at: datetime
    last: RunStatus

    @property
    def where(self) -> str:
        """The conditions of its runs."""
        words = ["state=failed", f"runner={self.runner}", self.condition]
        return shlex.join(filter(None, words))


def message_of(run: RunStatus, visit: Visit) -> str:
    """Say in a few words what has failed: of a step of a workflow, what its own error says."""
    error = visit.error(run.error)
    if error is None:
        return run.reason or ""
    said, name = error["message"], error_name(run.error)
    return said if name == error["type"] else said.partition(f"failed ({name}): ")[2] or said


def groups_of(failed: Iterable[RunStatus]) -> list[Group]:
    """Put failed runs into groups, the largest first."""
    found: dict[tuple[str, str, str], list[RunStatus]] = {}
    for run in failed:
        found.setdefault((run.runner, *_kind_of(run)), []).append(run)
    groups = [_group(*kind, runs) for kind, runs in found.items()]
    return sorted(groups, key=lambda group: (-group.count, group.last_at))


def _kind_of(run: RunStatus) -> tuple[str, str]:
    """Give the type of a run's error, of a failed step that of its own error, and a condition."""
    name = error_name(run.error)
    if run.error is None:
        return name, ""
    return name, f"error={name}" if name == run.error.type else f"error~failed ({name})"


def _group(runner: str, error: str, condition: str, runs: Sequence[RunStatus]) -> Group:
    by_end = sorted(runs, key=_ended_at)
    first, last = by_end[0], by_end[-1]
    return Group(runner, error, condition, len(runs), _ended_at(first), _ended_at(last), last)


def _ended_at(run: RunStatus) -> datetime:
    return run.ended_at or _EARLIEST


async def newest_failed(visit: Visit, limit: int) -> tuple[list[RunStatus], bool]:
    """Read failed runs, the newest end first, and whether there are more."""
    page = await visit.client.list(state=RunState.FAILED, limit=limit, values=False)
    return sorted(page.runs, key=_ended_at, reverse=True), page.cursor is not None


async def failures(visit: Visit) -> Shown:
    """List what has failed: in groups, and the last runs one by one."""
    failed, has_more = await newest_failed(visit, LOOKED_AT)
    shown, new = await standing(failed[:ROWS], visit)
    values = {
        "groups": [(group, message_of(group.last, visit)) for group in groups_of(failed)],
        "rows": await rows_of(shown, visit), "new": new, "looked_at": len(failed),
        "has_more": has_more,
        "can_retry": visit.grant.allows("retry") and visit.grant.allows("bulk"),
    }  # fmt: skip
    return Shown("lists/failures.html", values, live=looks_again(shown))


PAGES = (Page("/failures", failures, "Failures", "f"),)
