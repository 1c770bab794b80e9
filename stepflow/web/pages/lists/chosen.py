"""What is done to runs that were chosen in a list, one after the other."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from starlette.responses import Response

from stepflow.core.run import RunState
from stepflow.errors import StepflowError
from stepflow.shell import to_type
from stepflow.web.access import Grant
from stepflow.web.incoming import fit
from stepflow.web.models import RUN_ID, DeleteQuery
from stepflow.web.pages.actions import ACTIONS, Action, can
from stepflow.web.pages.forms import read_form
from stepflow.web.pages.lists.rows import rows_of
from stepflow.web.pages.visit import Page, Shown, Visit
from stepflow.web.problems import BadRequest, NoSuchRoute

#: what can be done to several
VERBS = ("resume", "retry", "pause", "cancel", "delete")
#: runs that can be chosen, and bytes of a form of so many
_MOST, _FORM_BYTES = 1000, 262_144


def verbs_of(grant: Grant, states: Collection[RunState]) -> list[Action]:
    """Give what somebody may do to runs in these states, or to some of them."""
    allowed = [ACTIONS[verb] for verb in VERBS if can(grant, verb)]
    return [action for action in allowed if any(state in action.states for state in states)]


async def ask(visit: Visit) -> Shown:
    """Show what was chosen, and ask."""
    query = visit.request.query_params
    action, ids = _chosen(query.get("verb", ""), query.getlist("run"), visit)
    runs = [run for run_id in ids if (run := await visit.client.status(run_id)) is not None]
    fitting = [run for run in runs if run.state in action.states]
    values = {
        "action": action, "rows": await rows_of(fitting, visit), "others": len(ids) - len(fitting),
        "command_line": to_type(action.verb, *[run.id for run in fitting]),
    }  # fmt: skip
    return Shown("lists/chosen.html", values, live=None)


async def do(visit: Visit) -> Shown | Response:
    """Do it to each, and show what became of it."""
    form = await read_form(visit.request, _FORM_BYTES)
    given = dict(form)
    chosen = [value for name, value in form if name == "run"]
    action, ids = _chosen(given.get("verb", ""), chosen, visit)
    reason = given.get("reason", "")
    done = [(run_id, await _do(action, run_id, reason, visit)) for run_id in ids]
    values = {
        "action": action, "done": done, "refused": sum(bool(problem) for _, problem in done),
    }  # fmt: skip
    return Shown("lists/chosen_done.html", values, live=None)


async def _do(action: Action, run_id: str, reason: str, visit: Visit) -> str:
    """Do it to one run; say why it could not be done."""
    operation = action.operation
    names = {field.name for field in action.fields}
    body = {"reason": reason} if reason and "reason" in names else {}
    call = visit.call(
        None if operation.body is None else fit(operation.body, body, "form"),
        query=DeleteQuery() if operation.query is DeleteQuery else None,
        path={"run_id": run_id},
    )
    try:
        await operation.handle(call)
    except StepflowError as error:
        return str(error)
    return ""


def _chosen(verb: str, ids: Iterable[str], visit: Visit) -> tuple[Action, Sequence[str]]:
    """Give the action and the runs; raises NoSuchRoute, BadRequest, NotAllowed."""
    if verb not in VERBS:
        raise NoSuchRoute
    action = ACTIONS[verb]
    visit.grant.check(action.operation.right)
    chosen = list(dict.fromkeys(ids))
    if not 0 < len(chosen) <= _MOST or not all(re.fullmatch(RUN_ID[1:-1], each) for each in chosen):
        msg = f"choose runs, at most {_MOST} of them"
        raise BadRequest(msg)
    return action, chosen


PAGES = (Page("/chosen", ask), Page("/chosen", do, methods=("POST",)))
