"""Runs as the rows of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow.core.run import RunState, RunStatus
from stepflow.engine.why import Why, WhyWord, where_it_stands
from stepflow.errors import RedisRefused
from stepflow.web.pages.visit import Visit
from stepflow.web.pages.words import took

#: live runs of a page of which is told where they stand
_EXPLAINED = 200
#: what somebody has to do something about
_STUCK_WORDS = {WhyWord.BLOCKED, WhyWord.BROKEN}
_STUCK_CODES = {
    "queued.no_worker", "queued.suspended", "queued.unhealthy", "queued.unwritable",
    "scheduled.late", "running.long", "running.nobody", "running.unwritable", "paused.code",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """A run, where it stands in a line, and whether somebody has to look at it."""

    run: RunStatus
    where: Any
    why: Why | None = None

    @property
    def is_stuck(self) -> bool:
        """Whether it does not move by itself."""
        why = self.why
        return why is not None and (why.word in _STUCK_WORDS or why.code in _STUCK_CODES)


async def rows_of(runs: Sequence[RunStatus], visit: Visit) -> list[Row]:
    """Say of each run where it stands."""
    live = [run.id for run in runs if not run.is_finished][:_EXPLAINED]
    told = await _explained(live, visit)
    return [Row(run, _where(run, told.get(run.id), visit), told.get(run.id)) for run in runs]


def _where(run: RunStatus, why: Why | None, visit: Visit) -> Any:
    if run.is_archived:
        return f"archived; took {took(run)}"
    if run.is_finished and run.error is not None and not run.unreadable:
        error = visit.error(run.error) or {}
        return f"{error.get('type')}: {error.get('message')}"
    if run.state is RunState.SUCCEEDED and not run.unreadable:
        return f"took {took(run)}"
    return visit.shown("why", where_it_stands(run, why), "sentence")


async def _explained(run_ids: Sequence[str], visit: Visit) -> dict[str, Why]:
    """Say why runs stand; nothing where the Redis user may not look any closer."""
    try:
        return {why.run_id: why for why in await visit.client.why_many(run_ids)}
    except RedisRefused:
        return {}
