"""The page of questions that runs ask people, each with a form for what it takes as an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from stepflow.engine.questions import Question
from stepflow.errors import StepflowError
from stepflow.web.incoming import AROUND_PAYLOAD, fit, parse
from stepflow.web.models import Answer
from stepflow.web.pages.forms import read_form
from stepflow.web.pages.visit import Page, Shown, Visit
from stepflow.web.problems import NoSuchRoute, RequestProblem, document_of
from stepflow.web.routes import PATH_PARTS
from stepflow.web.verbs import answer as answer_question

#: rows of the page
ROWS = 100
#: choices that are buttons; more of them are a list to choose from
_BUTTONS = 5


@dataclass(frozen=True, slots=True)
class Form:
    """
    How an answer is given: by *choices*, each a label and its JSON, else as text or JSON.

    *kind* is `choice`, `text`, `number` or `json`.
    """

    kind: str
    choices: Sequence[tuple[str, str]] = ()

    @property
    def has_buttons(self) -> bool:
        """Whether each choice is a button."""
        return 0 < len(self.choices) <= _BUTTONS


_YES_OR_NO = Form("choice", [("Yes", "true"), ("No", "false")])


def form_of(schema: Mapping[str, Any]) -> Form:
    """Find the form that fits a JSON schema of answers; JSON where no other does."""
    choices = schema.get("enum")
    if isinstance(choices, list) and choices:
        return Form("choice", [(_label(each), json.dumps(each)) for each in choices])
    either = schema.get("anyOf")
    if isinstance(either, list) and {"type": "boolean"} in either:
        return _YES_OR_NO
    match schema.get("type"):
        case "boolean":
            return _YES_OR_NO
        case "string":
            return Form("text")
        case "integer" | "number":
            return Form("number")
        case _:
            return Form("json")


def _label(choice: object) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


async def questions(visit: Visit) -> Shown:
    """List the open questions, those that have waited longest first."""
    return await _listed(visit)


async def _listed(
    visit: Visit, token: str = "", given: str = "", problem: str = "", status: int = 200
) -> Shown:
    found: Sequence[Question] = await visit.client.questions(limit=ROWS)
    values = {
        "asked": [(each, form_of(each.schema)) for each in found], "most": ROWS,
        "can_answer": visit.grant.allows("answer"),
        "token": token, "given": given, "problem": problem,
    }  # fmt: skip
    return Shown("lists/questions.html", values, status)


async def answer(visit: Visit) -> Shown | Response:
    """Answer a question; on a mistake, show what was written beside it."""
    token = visit.path["token"]
    if not re.fullmatch(PATH_PARTS["token"][0].strip("^$"), token):
        raise NoSuchRoute
    given = ""
    try:
        limit = visit.client.settings.limits.payload_bytes + AROUND_PAYLOAD
        form = dict(await read_form(visit.request, limit))
        given = form.get("value", "")
        value = given if form.get("kind") == "text" else parse(given.encode())
        await answer_question(visit.call(fit(Answer, {"value": value}, "form")))
    except (RequestProblem, StepflowError) as error:
        document = document_of(error)
        return await _listed(visit, token, given, document["detail"], document["status"])
    place = ("runs", token.rpartition(".")[0]) if form.get("back") == "run" else ("questions",)
    return RedirectResponse(visit.url(*place, did="answer"), 303)


PAGES = (
    Page("/questions", questions, "Questions", "a"),
    Page("/questions/{token}", answer, methods=("POST",), right="answer"),
)
