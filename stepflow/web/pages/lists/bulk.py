"""The pages of bulks: one verb for all runs that fit, looked at beforehand, watched afterwards."""

from __future__ import annotations

import shlex
from typing import Any

from starlette.responses import RedirectResponse, Response

from stepflow.engine.steering.bulk import RATE
from stepflow.engine.steering.bulk_runs import VERBS
from stepflow.errors import BulkGrown, StepflowError, UsageError
from stepflow.web.bulk import begin_bulk
from stepflow.web.incoming import AROUND_PAYLOAD, fit, parse
from stepflow.web.models import Bulk
from stepflow.web.pages.actions import ACTIONS, can
from stepflow.web.pages.forms import read_form
from stepflow.web.pages.lists.rows import rows_of
from stepflow.web.pages.visit import Page, Shown, Visit
from stepflow.web.problems import BadRequest, RequestProblem, document_of

#: bulks that the page lists
ROWS = 50


async def bulks(visit: Visit) -> Shown:
    """List the bulks, and begin to make one."""
    given = {name: visit.query.get(name, "") for name in ("verb", "where")}
    return await _listed(visit, given)


async def _listed(
    visit: Visit, given: dict[str, str], problem: str = "", status: int = 200
) -> Shown:
    values = {
        "bulks": await visit.client.bulks(limit=ROWS), "given": given, "problem": problem,
        "verbs": [verb for verb in VERBS if visit.grant.allows(verb)],
        "can_begin": visit.grant.allows("bulk"),
    }  # fmt: skip
    return Shown("lists/bulks.html", values, status)


async def preview(visit: Visit) -> Shown:
    """Count what a bulk would be done to, show some of it, and ask."""
    given = {name: visit.query.get(name, "").strip() for name in ("verb", "where")}
    try:
        return await _previewed(visit, given)
    except UsageError as error:
        return await _listed(visit, given, str(error), 422)


async def _previewed(
    visit: Visit, given: dict[str, str], problem: str = "", status: int = 200
) -> Shown:
    verb, where = given["verb"], given["where"]
    found = await visit.client.preview(verb, where)
    examples = [run for each in found.examples if (run := await visit.client.status(each))]
    values = {
        "verb": verb, "where": where, "found": found, "problem": problem, "given": given,
        "rate": f"{RATE:g}", "rows": await rows_of(examples, visit),
        "destroys": ACTIONS[verb].destroys, "label": ACTIONS[verb].label,
        "command_line": f"stepflow {verb} --where {shlex.quote(where)}",
        "can_begin": visit.grant.allows("bulk") and visit.grant.allows(verb),
    }  # fmt: skip
    return Shown("lists/preview.html", values, status, live=None)


async def begin(visit: Visit) -> Shown | Response:
    """Begin a bulk that was looked at; when more fit by now, ask again."""
    limit = visit.client.settings.limits.payload_bytes + AROUND_PAYLOAD
    given = dict(await read_form(visit.request, limit))
    given = {"verb": "", "where": "", **given}
    try:
        reply = await begin_bulk(visit.call(fit(Bulk, _read(given), "form")))
    except BulkGrown as grown:
        return await _previewed(visit, given, str(grown), 409)
    except (UsageError, RequestProblem) as error:
        document = document_of(error)
        if given["verb"] in VERBS and isinstance(error, StepflowError):
            return await _previewed(visit, given, document["detail"], document["status"])
        return await _listed(visit, given, document["detail"], document["status"])
    return RedirectResponse(visit.url("bulk", reply.document["id"]), 303)


def _read(given: dict[str, str]) -> dict[str, Any]:
    """Read the fields of the form into what the operation takes."""
    body: dict[str, Any] = {
        name: given[name] for name in ("verb", "where", "reason", "signal") if given.get(name)
    }
    try:
        body |= {"rate": float(given["rate"])} if given.get("rate") else {}
        body |= {"expect": int(given["expect"])} if given.get("expect") else {}
    except ValueError:
        msg = "the rate is a number of runs a second"
        raise BadRequest(msg) from None
    if given.get("payload"):
        body["payload"] = parse(given["payload"].encode())
    return body


async def bulk(visit: Visit) -> Shown:
    """Show how far a bulk has come."""
    found = await visit.client.bulk_info(visit.path["bulk_id"])
    states = {"stop-bulk": ("selecting", "running"), "resume-bulk": ("stopped",)}
    actions = [
        ACTIONS[verb]
        for verb, of_states in states.items()
        if found.state in of_states and can(visit.grant, verb)
    ]
    return Shown("lists/bulk.html", {"bulk": found, "actions": actions})


PAGES = (
    Page("/bulk", bulks, "Bulk", "b"),
    Page("/bulk", begin, methods=("POST",), right="bulk"),
    Page("/bulk/preview", preview),
    Page("/bulk/{bulk_id}", bulk),
)
