"""The page of budgets: all of them, with the buttons that move them."""

from __future__ import annotations

from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of the list
ROWS = 200
#: the buttons of a budget
_BUTTONS = ("set-budget", "reset-budget")


async def budgets(visit: Visit) -> Shown:
    """List the budgets by name."""
    found = await visit.client.budgets.list(limit=ROWS)
    return Shown("spending/budgets.html", {"rows": found, "most": ROWS, **_buttons(visit)})


async def budget(visit: Visit) -> Shown:
    """Show one budget, as the list does."""
    found = await visit.client.budgets.get(visit.path["budget"])
    return Shown("spending/budgets.html", {"rows": [found], "most": ROWS, **_buttons(visit)})


def _buttons(visit: Visit) -> dict[str, object]:
    """Give the buttons that who looks may press, by their verbs."""
    return {"buttons": {verb: ACTIONS[verb] for verb in _BUTTONS if can(visit.grant, verb)}}


PAGES = (
    Page("/budgets", budgets, "Budgets"),
    Page("/budgets/{budget}", budget),
)
