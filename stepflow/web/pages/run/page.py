"""The page of a run."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from stepflow.core.outcomes import ErrorInfo
from stepflow.web.pages.actions import ACTIONS, can, possible
from stepflow.web.pages.lists.questions import form_of
from stepflow.web.pages.lists.search import with_word
from stepflow.web.pages.run.chosen import choose
from stepflow.web.pages.run.emitted import chunks
from stepflow.web.pages.run.facts import facts_of
from stepflow.web.pages.run.fresh import is_fresh, stamp
from stepflow.web.pages.run.graph import shown_graph
from stepflow.web.pages.run.opened import Opened
from stepflow.web.pages.run.reading import Read, read
from stepflow.web.pages.timeline.draw import Picture, draw
from stepflow.web.pages.timeline.lay_out import lay_out
from stepflow.web.pages.timeline.model import Shown as Wanted
from stepflow.web.pages.visit import Shown, Visit
from stepflow.web.redact import HIDDEN


async def run(visit: Visit) -> Shown | Response:
    """Show a run."""
    run_id = visit.path["run_id"]
    if visit.is_fragment and await is_fresh(run_id, visit):
        return Response(status_code=204)
    opened = Opened.read(visit.query.get("open", ""))
    found = await read(run_id, opened, visit)
    return Shown("run/page.html", _values(found, opened, visit))


def _values(found: Read, opened: Opened, visit: Visit) -> dict[str, object]:
    status = found.trace.run
    is_over = status.is_finished
    return {
        "run": status,
        "why": found.why,
        "error": visit.error(status.error),
        "undo_errors": [visit.error(error) for error in status.compensation_errors],
        "facts": facts_of(found.trace, visit),
        "actions": list(possible(status, visit.grant)),
        "picture": _picture(found, opened, visit),
        "graph": shown_graph(found.graph, found.trace),
        "opened": opened,
        "chosen": choose(visit.query.get("step"), found.trace, found.children.traces, visit),
        "payload": visit.shown("payload", status.payload),
        "result": visit.shown("result", status.result) if is_over else None,
        "headers": _by_name("header", status.headers, visit),
        "tags": [
            (name, value, with_word("", f"tag.{name}", str(value)))
            for name, value in _by_name("tag", status.tags, visit).items()
        ],
        "questions": [(each, form_of(each.schema)) for each in found.questions],
        "can_answer": visit.grant.allows("answer"),
        "mailbox": [
            (mail.name, visit.shown("step", mail.payload, mail.name)) for mail in found.mailbox
        ],
        "variables": {
            name: visit.shown("step", value, name) for name, value in found.variables.items()
        },
        "output": chunks(found.output, visit),
        "output_count": len(found.output),
        "hooks": found.hooks,
        "redeliver": ACTIONS["redeliver"] if can(visit.grant, "redeliver") else None,
        "journal": found.journal,
        "stamp": stamp(found.trace, visit.now),
    }


def _by_name(kind: str, values: Mapping[str, str], visit: Visit) -> Mapping[str, object]:
    """Give values by their names; none where a viewer may not even see that there are some."""
    seen = visit.shown(kind, values)
    return seen if isinstance(seen, dict) else {}


def _picture(found: Read, opened: Opened, visit: Visit) -> Picture:
    wanted = Wanted(
        frozenset(opened.words),
        is_true=visit.query.get("scale") == "true",
        seen=lambda error: _seen(error, visit),
    )
    return draw(lay_out(found.trace, visit.now.timestamp(), wanted, found.children))


def _seen(error: ErrorInfo, visit: Visit) -> ErrorInfo:
    """Leave of an error what its viewer may see."""
    match visit.error(error):
        case {"type": kind, "message": message}:
            return ErrorInfo(str(kind), str(message))
    return ErrorInfo(HIDDEN, "")
