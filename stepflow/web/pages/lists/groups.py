"""The pages of groups: all of them, and one with what its failed members say."""

from __future__ import annotations

from stepflow.core.fanout.group import member_run_id
from stepflow.engine.groups.info import GroupInfo
from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of the list
ROWS = 200


async def groups(visit: Visit) -> Shown:
    """List the groups, the newest first."""
    found = await visit.client.groups.list(limit=ROWS)
    return Shown("lists/groups.html", {"rows": found, "most": ROWS})


async def group(visit: Visit) -> Shown:
    """Show how a group stands, and what its failed members say."""
    found = await visit.client.groups.status(visit.path["group_id"])
    actions = [ACTIONS[verb] for verb in _fitting(found) if can(visit.grant, verb)]
    return Shown("lists/group.html", {"group": found, "actions": actions, "run_of": member_run_id})


def _fitting(group: GroupInfo) -> list[str]:
    """Name the verbs that do something to a group as it stands."""
    verbs = ["retry-group"] if group.failed and group.state in _RETRIES else []
    return [*verbs, "forget-group" if group.is_finished else "cancel-group"]


_RETRIES = ("running", "retrying", "succeeded", "failed", "cancelled")

PAGES = (
    Page("/groups", groups, "Groups", "o"),
    Page("/groups/{group_id}", group),
)
