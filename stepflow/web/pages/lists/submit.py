"""The page that submits a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import RedirectResponse, Response

from stepflow.errors import StepflowError
from stepflow.web.incoming import AROUND_PAYLOAD, fit, parse
from stepflow.web.models import Submit
from stepflow.web.pages.forms import read_form
from stepflow.web.pages.visit import Page, Shown, Visit
from stepflow.web.problems import BadRequest, RequestProblem, document_of
from stepflow.web.verbs import submit

#: what it takes as text
_TEXTS = ("runner", "id", "queue", "priority")


async def ask(visit: Visit) -> Shown:
    """Ask which run."""
    visit.grant.check("submit")
    return await _asked(visit, visit.query)


async def _asked(
    visit: Visit, given: Mapping[str, str], problem: str = "", status: int = 200
) -> Shown:
    known = await visit.client.runners()
    values = {
        "runners": sorted({each.runner for each in known}), "given": given, "problem": problem,
    }  # fmt: skip
    return Shown("lists/submit.html", values, status, live=None)


async def do(visit: Visit) -> Shown | Response:
    """Submit it, and lead to it; on a mistake, ask again."""
    given: dict[str, str] = {}
    try:
        limit = visit.client.settings.limits.payload_bytes + AROUND_PAYLOAD
        given = dict(await read_form(visit.request, limit))
        reply = await submit(visit.call(fit(Submit, _read(given), "form")))
    except (RequestProblem, StepflowError) as error:
        document = document_of(error)
        return await _asked(visit, given, document["detail"], document["status"])
    return RedirectResponse(visit.url("runs", reply.document["id"], did="submit"), 303)


def _read(given: Mapping[str, str]) -> dict[str, Any]:
    """Read the fields into what the operation takes."""
    body: dict[str, Any] = {name: given[name].strip() for name in _TEXTS if name in given}
    if "payload" in given:
        body["payload"] = parse(given["payload"].encode())
    try:
        body |= {"delay": float(given["delay"])} if "delay" in given else {}
    except ValueError:
        msg = "the delay is a number of seconds"
        raise BadRequest(msg) from None
    return body


PAGES = (Page("/submit", ask), Page("/submit", do, methods=("POST",), right="submit"))
