"""Values as downloads: what a page has no room for."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from stepflow.errors import RunNotFound
from stepflow.web.pages.run.chosen import choose
from stepflow.web.pages.run.reading import trace_of
from stepflow.web.pages.visit import Visit
from stepflow.web.problems import NoSuchRoute
from stepflow.web.written import written


async def value(visit: Visit) -> Response:
    """Give the input of a run, its result, or with `step` the value of a step, as JSON."""
    what = visit.path["what"]
    content = written(await _found(what, visit))
    name = f"{visit.path['run_id']}-{what}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, headers=headers, media_type="application/json")


async def _found(what: str, visit: Visit) -> Any:
    run_id = visit.path["run_id"]
    if what == "step":
        chosen = choose(visit.query.get("step", ""), await trace_of(run_id, visit), {}, visit)
        if chosen is None or not chosen.has_value:
            raise NoSuchRoute
        return chosen.value
    run = await visit.client.status(run_id)
    if run is None:
        raise RunNotFound(run_id)
    if what == "input":
        return visit.shown("payload", run.payload)
    if what == "result" and run.is_finished:
        return visit.shown("result", run.result)
    raise NoSuchRoute
