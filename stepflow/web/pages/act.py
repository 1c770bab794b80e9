"""A button that was pressed: the page that asks again, and the doing."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import RedirectResponse, Response

from stepflow.core.ids import whole_number
from stepflow.errors import StepflowError
from stepflow.web.incoming import AROUND_PAYLOAD, fit, parse
from stepflow.web.models import DeleteQuery
from stepflow.web.pages.actions import ACTIONS, Action
from stepflow.web.pages.forms import read_form
from stepflow.web.pages.visit import Page, Shown, Visit
from stepflow.web.problems import BadRequest, NoSuchRoute, RequestProblem, document_of
from stepflow.web.routes import PATH_PARTS


async def ask(visit: Visit) -> Shown:
    """Say what a button does, and ask for what it needs."""
    action, target = _asked(visit)
    names = {field.name for field in action.fields}
    return _form(action, target, {k: v for k, v in visit.query.items() if k in names})


async def do(visit: Visit) -> Shown | Response:
    """Do it, and lead to the page of what it was done to; on a mistake, ask again."""
    action, target = _asked(visit)
    given: dict[str, str] = {}
    try:
        limit = visit.client.settings.limits.payload_bytes + AROUND_PAYLOAD
        given = dict(await read_form(visit.request, limit))
        answer = await _carry_out(action, target, given, visit)
    except (RequestProblem, StepflowError) as problem:
        document = document_of(problem)
        return _form(action, target, given, problem=document["detail"], status=document["status"])
    return RedirectResponse(_after(action, target, answer, visit), 303)


def _asked(visit: Visit) -> tuple[Action, str]:
    """Give the action and what it is for; raises NoSuchRoute, NotAllowed."""
    action, target = ACTIONS.get(visit.path["verb"]), visit.path["target"]
    if action is None or not re.fullmatch(PATH_PARTS[action.path][0].strip("^$"), target):
        raise NoSuchRoute
    visit.grant.check(action.operation.right)
    return action, target


async def _carry_out(action: Action, target: str, given: dict[str, str], visit: Visit) -> Any:
    operation = action.operation
    body = {
        each.name: _read(given[each.name], each.kind, each.label)
        for each in action.fields
        if each.name in given
    }
    call = visit.call(
        None if operation.body is None else fit(operation.body, body, "form"),
        query=DeleteQuery() if operation.query is DeleteQuery else None,
        path={action.path: target},
    )
    return await operation.handle(call)


def _read(text: str, kind: str, label: str) -> Any:
    if kind == "json":
        return parse(text.encode())
    if kind == "number":
        number = whole_number(text.strip())
        if number is None:
            msg = f"{label} is a whole number"
            raise BadRequest(msg)
        return number
    if kind == "decimal":
        return _decimal(text, label)
    return text.split() if kind == "words" else text.strip()


def _decimal(text: str, label: str) -> float:
    try:
        return float(text)
    except ValueError:
        msg = f"{label} is a number"
        raise BadRequest(msg) from None


def _form(
    action: Action,
    target: str,
    given: dict[str, str] | None = None,
    *,
    problem: str = "",
    status: int = 200,
) -> Shown:
    values = {
        "action": action, "target": target, "given": given or {}, "problem": problem,
        "command_line": action.write(target),
    }  # fmt: skip
    return Shown("confirm.html", values, status, live=None)


def _after(action: Action, target: str, answer: Any, visit: Visit) -> str:
    """Give the page to look at next."""
    made = getattr(answer, "document", None)
    if action.verb == "fork" and made is not None:
        target = made["id"]
    has_page = action.path == "run_id" and action.verb != "delete"
    place = (*action.place, target) if has_page else action.place
    return visit.url(*place, did=action.verb)


PAGES = (
    Page("/do/{verb}/{target:path}", ask),
    Page("/do/{verb}/{target:path}", do, methods=("POST",)),
)
