"""The pages of schedules: all of them, and one with its last and its next times."""

from __future__ import annotations

import asyncio

from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of the list, and times to come that the page of a schedule shows
ROWS, TIMES = 500, 10
#: the buttons of a schedule
_BUTTONS = ("trigger-schedule", "pause-schedule", "resume-schedule", "delete-schedule")


async def schedules(visit: Visit) -> Shown:
    """List the schedules, the one put first first."""
    found = await visit.client.schedules.list(limit=ROWS)
    return Shown("lists/schedules.html", {"rows": found, "most": ROWS, **_buttons(visit)})


async def schedule(visit: Visit) -> Shown:
    """Show a schedule: its last times, with their runs or why they have none, and the next."""
    schedule_id, client = visit.path["schedule_id"], visit.client.schedules
    why, seen, past, following = await asyncio.gather(
        client.why(schedule_id),
        client.get(schedule_id),
        client.history(schedule_id),
        client.next(schedule_id, TIMES),
    )
    values = {"row": seen, "why": why, "past": past, "following": following, **_buttons(visit)}
    return Shown("lists/schedule.html", values)


def _buttons(visit: Visit) -> dict[str, object]:
    """Give the buttons that who looks may press, by their verbs."""
    allowed = {verb: ACTIONS[verb] for verb in _BUTTONS if can(visit.grant, verb)}
    return {"buttons": allowed}


PAGES = (
    Page("/schedules", schedules, "Schedules", "s"),
    Page("/schedules/{schedule_id}", schedule),
)
