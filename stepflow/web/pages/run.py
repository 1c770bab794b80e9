"""The page of a run."""

from __future__ import annotations

from stepflow.errors import RunNotFound
from stepflow.web.pages.actions import possible
from stepflow.web.pages.lists.rows import rows_of
from stepflow.web.pages.visit import Page, Shown, Visit


async def run(visit: Visit) -> Shown:
    """Show a run."""
    found = await visit.client.status(visit.path["run_id"])
    if found is None:
        raise RunNotFound(visit.path["run_id"])
    [row] = await rows_of([found], visit)
    values = {
        "row": row, "run": found, "actions": list(possible(found, visit.grant)),
        "payload": visit.shown("payload", found.payload),
        "result": visit.shown("result", found.result),
    }  # fmt: skip
    return Shown("run.html", values)


PAGES = (Page("/runs/{run_id}", run),)
