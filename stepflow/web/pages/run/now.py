"""What a worker is doing for a run at this moment: asked only when somebody wants to know."""

from __future__ import annotations

from stepflow.errors import RunStateError, UnavailableError
from stepflow.web.pages.visit import Shown, Visit
from stepflow.web.problems import document_of


async def now(visit: Visit) -> Shown:
    """Ask the worker that has a run."""
    run_id = visit.path["run_id"]
    try:
        found, problem = await visit.client.now(run_id), ""
    except (RunStateError, UnavailableError) as error:
        found, problem = None, document_of(error)["detail"]
    return Shown("run/now.html", {"id": run_id, "found": found, "problem": problem}, live=None)
