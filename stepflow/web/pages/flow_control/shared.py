"""The page of values that runs share: the steps that have any, and the values of one."""

from __future__ import annotations

from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.visit import Page, Shown, Visit

#: values of a page
ROWS = 100


async def shared(visit: Visit) -> Shown:
    """Name the steps with shared values."""
    return Shown("flow_control/shared.html", await _values(visit, "", 0))


async def of_step(visit: Visit) -> Shown:
    """List the values of a step, a page at a time."""
    first = _number(visit.query.get("from", ""))
    values = await _values(visit, visit.path["step"], first)
    return Shown("flow_control/shared.html", values, live={"from": str(first)})


async def _values(visit: Visit, step: str, first: int) -> dict[str, object]:
    names = await visit.client.shared.names()
    found = await visit.client.shared.list(step, limit=ROWS, offset=first) if step else ()
    return {
        "names": names, "name": step, "first": first, "size": ROWS,
        "rows": [(each, visit.shown("shared", each.key)) for each in found],
        "drop": ACTIONS["drop-shared"] if can(visit.grant, "drop-shared") else None,
    }  # fmt: skip


def _number(text: str) -> int:
    """Read where a page begins; what is no number is the first."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0  # noqa: PLR2004  more than there are values


PAGES = (Page("/shared", shared, "Shared", "v"), Page("/shared/{step}", of_step))
