"""All pages that there are, in the order of the navigation."""

from __future__ import annotations

from stepflow.web.pages import act, run
from stepflow.web.pages.actions import ACTIONS
from stepflow.web.pages.lists import runs
from stepflow.web.pages.visit import Page

PAGES: tuple[Page, ...] = (*runs.PAGES, *run.PAGES, *act.PAGES)


def done_by(verb: str) -> str:
    """Say that an action was done; nothing for what is none."""
    action = ACTIONS.get(verb)
    return "" if action is None else action.done
