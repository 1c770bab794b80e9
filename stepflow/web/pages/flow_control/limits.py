"""The page of limits: what they say, who is at work, who waits; and the buttons."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.limits.use import label_of
from stepflow.engine.limits.info import LimitInfo
from stepflow.web.limits.path import routed
from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of the list
ROWS = 300
#: the buttons of a limit
_BUTTONS = ("set-limit", "unset-limit", "reset-limit")


async def limits(visit: Visit) -> Shown:
    """List the limits by name."""
    found = await visit.client.limits.list()
    return Shown(
        "flow_control/limits.html",
        {"rows": _rows(found[:ROWS]), "count": len(found), "one": None, **_buttons(visit)},
    )


async def limit(visit: Visit) -> Shown:
    """Show one limit, or what it is for one key: who has its slots, and who waits."""
    found = await visit.client.limits.get(visit.path["limit"])
    return Shown(
        "flow_control/limits.html",
        {"rows": _rows([found]), "count": 1, "one": found, **_buttons(visit)},
    )


def _rows(found: Sequence[LimitInfo]) -> list[tuple[str, LimitInfo]]:
    return [(label_of(each.name, each.key or ""), each) for each in found]


def _buttons(visit: Visit) -> dict[str, object]:
    """Give the buttons that who looks may press, by their verbs."""
    return {"buttons": {verb: ACTIONS[verb] for verb in _BUTTONS if can(visit.grant, verb)}}


PAGES = (
    Page("/limits", limits, "Limits", "l"),
    Page(routed("/limits/{limit}"), limit),
)
