"""The graph of a run, marked with what the run has done of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stepflow.core.graphs import Graph, Mark
from stepflow.engine.timeline import StepKind, Trace
from stepflow.web.pages.graph.draw import Drawings, draw
from stepflow.web.pages.graph.marks import marks_of
from stepflow.web.pages.timeline.workflow import keys_of


@dataclass(frozen=True, slots=True)
class ShownGraph:
    """What the page of a run shows of a graph."""

    #: None for one that is too large to be drawn
    drawn: Drawings | None
    doc: str
    #: the nodes where the run is now, in words; empty for one that has ended
    at: str
    #: the row of the timeline that has the last visit of a node
    places: Mapping[str, str]
    count: int


def shown_graph(graph: Graph | None, trace: Trace) -> ShownGraph | None:
    """Give what is shown of the graph of a run; None for a run that has none."""
    if graph is None:
        return None
    marks = marks_of(graph, trace)
    now = [node.text for node in graph.nodes if marks.nodes.get(node.id) is Mark.NOW]
    return ShownGraph(
        draw(graph, marks),
        graph.doc,
        "" if trace.run.is_finished else ", ".join(now),
        _places(trace),
        len(graph.nodes),
    )


def _places(trace: Trace) -> dict[str, str]:
    """Give the last row of each state that was entered, else of each step by its key or name."""
    rows = list(zip(trace.steps, keys_of(trace.steps), strict=True))
    entered = {step.name: key for step, key in rows if step.kind is StepKind.STATE}
    return entered or {step.key or step.name: key for step, key in rows}
