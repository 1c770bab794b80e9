"""The page of runs: what fits a search, newest first."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.responses import RedirectResponse, Response

from stepflow.core.ids import check_run_id
from stepflow.core.run import RunState
from stepflow.engine.listing import Page as FoundPage
from stepflow.errors import UsageError
from stepflow.web.pages.lists.chosen import verbs_of
from stepflow.web.pages.lists.rows import Row, rows_of
from stepflow.web.pages.lists.search import is_bare, search, with_word, words_of
from stepflow.web.pages.lists.standing import looks_again, standing
from stepflow.web.pages.visit import Page, Shown, Visit

#: rows of a page
ROWS = 50
#: in the query of a page that leaves out the children of other runs
_ROOTS = "roots"
#: and of one that has what only the archive has
_ARCHIVED = "archived"


async def runs(visit: Visit) -> Shown | Response:
    """List the runs that fit `q`; the id of a run leads to it."""
    text = visit.query.get("q", "").strip()
    if text and is_bare(text):
        return await _of_word(text, visit)
    cursor = visit.query.get("after")
    try:
        found = await search(
            visit.client, text, limit=ROWS, cursor=cursor, roots=_ROOTS in visit.query,
            archived=_ARCHIVED in visit.query,
        )  # fmt: skip
    except UsageError as error:
        return _listed(visit, FoundPage((), None, 0), text, (), problem=str(error))
    shown, new = await standing(found.runs, visit)
    rows = await rows_of(shown, visit)
    return _listed(visit, found, text, rows, new=0 if cursor else new)


def _listed(
    visit: Visit,
    found: FoundPage,
    text: str,
    rows: Sequence[Row],
    *,
    new: int = 0,
    problem: str = "",
) -> Shown:
    facets = [("all", with_word(text, "state", None))]
    facets += [(str(state), with_word(text, "state", state)) for state in RunState]
    wanted = next((word for word in words_of(text) if word.startswith("state=")), "state=all")
    values = {
        "rows": rows, "found": found, "q": text, "facets": facets, "new": new,
        "most_new": ROWS, "facet": wanted.removeprefix("state="), "problem": problem,
        "roots": visit.query.get(_ROOTS), "archived": visit.query.get(_ARCHIVED),
        "has_archive": bool(visit.client.settings.archive.url),
        "verbs": verbs_of(
            visit.grant, {row.run.state for row in rows if not row.run.is_archived}
        ),
    }  # fmt: skip
    status = 422 if problem else 200
    return Shown("lists/runs.html", values, status, live=looks_again([row.run for row in rows]))


async def _of_word(word: str, visit: Visit) -> Shown | Response:
    """Lead to the run whose id a word is, or begins; list those if there are several."""
    try:
        ids = await visit.client.find(check_run_id(word), limit=ROWS)
    except UsageError as error:
        ids, problem = [], str(error)
    else:
        problem = "" if ids else f"no run id begins with {word}"
    if len(ids) == 1:
        return RedirectResponse(visit.url("runs", ids[0]), 303)
    found = [run for run_id in ids if (run := await visit.client.status(run_id)) is not None]
    rows = await rows_of(found, visit)
    return _listed(visit, FoundPage(found, None, len(ids)), word, rows, problem=problem)


PAGES = (Page("/runs", runs, "Runs", "r"),)
