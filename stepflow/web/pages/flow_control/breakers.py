"""The page of circuit breakers: all of them, with the buttons that move them."""

from __future__ import annotations

from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of the list
ROWS = 500
#: the buttons of a breaker
_BUTTONS = ("close-breaker", "open-breaker", "reset-breaker")


async def breakers(visit: Visit) -> Shown:
    """List the breakers by name."""
    found = await visit.client.breakers.list(limit=ROWS)
    return Shown("flow_control/breakers.html", {"rows": found, "most": ROWS, **_buttons(visit)})


async def breaker(visit: Visit) -> Shown:
    """Show one breaker, as the list does."""
    found = await visit.client.breakers.get(visit.path["breaker"])
    return Shown("flow_control/breakers.html", {"rows": [found], "most": ROWS, **_buttons(visit)})


def _buttons(visit: Visit) -> dict[str, object]:
    """Give the buttons that who looks may press, by their verbs."""
    return {"buttons": {verb: ACTIONS[verb] for verb in _BUTTONS if can(visit.grant, verb)}}


PAGES = (
    Page("/breakers", breakers, "Breakers", "c"),
    Page("/breakers/{breaker}", breaker),
)
