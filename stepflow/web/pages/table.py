"""All pages that there are, in the order of the navigation."""

from __future__ import annotations

from stepflow.web.pages import act, archived, run
from stepflow.web.pages.actions import ACTIONS
from stepflow.web.pages.flow_control import breakers, limits, shared
from stepflow.web.pages.lists import (
    bulk,
    chosen,
    failures,
    groups,
    hooks,
    now,
    questions,
    queues,
    runs,
    schedules,
    submit,
    workers,
)
from stepflow.web.pages.spending import budgets
from stepflow.web.pages.visit import Page

PAGES: tuple[Page, ...] = (
    *now.PAGES,
    *runs.PAGES,
    *failures.PAGES,
    *queues.PAGES,
    *workers.PAGES,
    *schedules.PAGES,
    *breakers.PAGES,
    *limits.PAGES,
    *budgets.PAGES,
    *shared.PAGES,
    *questions.PAGES,
    *hooks.PAGES,
    *bulk.PAGES,
    *groups.PAGES,
    *chosen.PAGES,
    *submit.PAGES,
    *run.PAGES,
    *archived.PAGES,
    *act.PAGES,
)
#: what is said of what is done by a form of its own
_DONE = {"answer": "The answer is on its way to the run.", "submit": "The run was submitted."}


def done_by(verb: str) -> str:
    """Say that an action was done; nothing for what is none."""
    action = ACTIONS.get(verb)
    return _DONE.get(verb, "") if action is None else action.done
