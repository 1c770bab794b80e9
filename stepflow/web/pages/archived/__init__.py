"""The page of an archived run: what is known of its last end, and its steps."""

from __future__ import annotations

from stepflow.web.archived import shown
from stepflow.web.pages.visit import Page, Shown, Visit


async def archived(visit: Visit) -> Shown:
    """Show the last archived end of a run."""
    run = await visit.client.archive.get(visit.path["run_id"])
    steps = await visit.client.archive.steps(run)
    values = shown(run, steps, visit.redact)
    return Shown("run/archived.html", {"run": run, "seen": values["run"], "steps": values["steps"]})


PAGES = (Page("/archived/{run_id}", archived),)
