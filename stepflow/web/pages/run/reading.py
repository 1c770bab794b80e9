"""What the page of a run reads, all of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from stepflow.client import HookInfo
from stepflow.core.graphs import Graph
from stepflow.core.output import OutputItem
from stepflow.core.run import RunStatus
from stepflow.engine.questions import Question
from stepflow.engine.timeline import Trace
from stepflow.engine.timeline.beside import JournalPage, Mail
from stepflow.engine.why import Why
from stepflow.errors import RedisRefused, RunNotFound
from stepflow.web import reads
from stepflow.web.pages.run.opened import Opened
from stepflow.web.pages.timeline.children import Children, that_matter
from stepflow.web.pages.visit import Visit

T = TypeVar("T")

#: hooks, signals and items of output that the page shows
HOOKS, SIGNALS, ITEMS = 20, 50, 200
#: children of a map among which the page chooses those that it shows
OF_MAP = 1000


@dataclass(frozen=True, slots=True)
class Read:
    """A run as it was read."""

    trace: Trace
    why: Why | None
    hooks: Sequence[HookInfo]
    questions: Sequence[Question]
    mailbox: Sequence[Mail]
    variables: Mapping[str, Any]
    output: Sequence[OutputItem]
    journal: JournalPage
    #: the children that are open in the timeline
    children: Children
    #: what its runner may do, if that says so
    graph: Graph | None


async def read(run_id: str, opened: Opened, visit: Visit) -> Read:
    """Read a run; raises RunNotFound. What a Redis user may not see is left out."""
    client = visit.client
    told, kept, children = await asyncio.gather(
        asyncio.gather(
            trace_of(run_id, visit),
            _allowed(client.why(run_id), None),
            _allowed(client.hooks(run_id, limit=HOOKS), ()),
            client.questions_of(run_id),
        ),
        asyncio.gather(
            client.mailbox(run_id, limit=SIGNALS),
            client.vars(run_id),
            client.newest_output(run_id, limit=ITEMS),
            client.journal(run_id, limit=0),
        ),
        asyncio.gather(*(_child(child, visit) for child in opened.children())),
    )
    traces = {child.run.id: child for child in children if child is not None}
    trace, why, hooks, questions = told
    mailbox, variables, output, journal = kept
    of_maps = await _of_maps([trace, *traces.values()], opened, visit)
    graph = await reads.graph_of(client, trace.run) if trace.is_workflow else None
    children_shown = Children(traces, of_maps)
    return Read(
        trace, why, hooks, questions, mailbox, variables, output, journal, children_shown, graph
    )


async def trace_of(run_id: str, visit: Visit) -> Trace:
    """Read what the timeline of a run is made of; raises RunNotFound."""
    return await reads.trace_of(visit.client, run_id)


async def _of_maps(
    traces: Sequence[Trace], opened: Opened, visit: Visit
) -> dict[str, Sequence[RunStatus]]:
    """Read the children of the maps that are open; of a large map the first ones."""
    found: dict[str, Sequence[RunStatus]] = {}
    for step in (step for each in traces for step in each.steps):
        if step.run_id is not None and step.total and opened.has_map(step.run_id):
            ids = [f"{step.run_id}-{index}" for index in range(min(step.total, OF_MAP))]
            found[step.run_id] = that_matter(await visit.client.statuses(ids))
    return found


async def _allowed(call: Awaitable[T], otherwise: T) -> T:
    with suppress(RedisRefused):
        return await call
    return otherwise


async def _child(run_id: str, visit: Visit) -> Trace | None:
    with suppress(RunNotFound):
        return await trace_of(run_id, visit)
    return None
