"""Rows that stay where they are while a page looks again: what has come since is counted above."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from stepflow.core.run import RunStatus
from stepflow.web.models import RUN_ID
from stepflow.web.pages.visit import Visit

#: in the query of a page that looks again: the runs that it shows
_SHOWN = "shown"
#: rows that a page can have shown
_MOST = 200


async def standing(found: Sequence[RunStatus], visit: Visit) -> tuple[Sequence[RunStatus], int]:
    """
    Give the runs that a page shows already, as they are now, and how many have come above them.

    *found* is what a page would show that was opened now.
    """
    shown = _shown(visit)
    if not shown:
        return found, 0
    known = {run.id: run for run in found}
    others = [run_id for run_id in shown if run_id not in known]
    statuses = await asyncio.gather(*(visit.client.status(run_id) for run_id in others))
    known |= {run.id: run for run in statuses if run is not None}
    return [known[run_id] for run_id in shown if run_id in known], _count_new(found, shown)


def _count_new(found: Sequence[RunStatus], shown: Sequence[str]) -> int:
    """Count what stands above the last row that is shown already: below it is the next page."""
    places = [place for place, run in enumerate(found) if run.id in shown]
    above = found[: places[-1]] if places else found
    return sum(run.id not in shown for run in above)


def looks_again(runs: Sequence[RunStatus]) -> dict[str, str]:
    """Give what a page that shows *runs* adds to its query when it looks again."""
    return {_SHOWN: ",".join(run.id for run in runs[:_MOST])} if runs else {}


def _shown(visit: Visit) -> list[str]:
    ids = visit.query.get(_SHOWN, "").split(",")[:_MOST]
    return [run_id for run_id in ids if re.fullmatch(RUN_ID.strip("^$"), run_id)]
