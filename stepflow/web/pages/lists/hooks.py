"""The page of hooks: deliveries that were given up."""

from __future__ import annotations

from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of the page
ROWS = 100


async def hooks(visit: Visit) -> Shown:
    """List the deliveries that were given up, newest first."""
    values = {
        "hooks": await visit.client.hooks(limit=ROWS), "most": ROWS,
        "redeliver": ACTIONS["redeliver"], "can_redeliver": can(visit.grant, "redeliver"),
    }  # fmt: skip
    return Shown("lists/hooks.html", values)


PAGES = (Page("/hooks", hooks, "Hooks", "h"),)
