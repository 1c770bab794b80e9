"""`marks_of`: what a run has done of its graph, by its history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from stepflow.core.graphs import Graph, Mark, Marks, NodeKind
from stepflow.core.graphs.definitions import SKIPPED
from stepflow.core.run import RunState, RunStatus
from stepflow.engine.timeline import StepKind, StepState, StepStatus, Trace
from stepflow.web.pages.graph.ranks import Way

#: the longest way through choices that is looked for between two states
_CHOICES = 8
_BEGUN = frozenset({Mark.DONE, Mark.NOW, Mark.FAILED})
_FAILED = frozenset({StepState.FAILED, StepState.TIMED_OUT, StepState.CANCELLED, StepState.LOST})


def marks_of(graph: Graph, trace: Trace) -> Marks:
    """Say what a run has done of *graph*: by the states that it entered, else by its steps."""
    entered = [step.name for step in trace.steps if step.kind is StepKind.STATE]
    if entered:
        return _of_states(graph, entered, trace.run)
    return _of_steps(graph, trace.steps, trace.run)


def _of_states(graph: Graph, entered: Sequence[str], run: RunStatus) -> Marks:
    """Mark the way of a machine, which is in one state at a time."""
    visits = Counter(entered)
    ways: Counter[Way] = Counter()
    for way, count in Counter(pairwise(entered)).items():
        for piece in pairwise(_through(graph, *way)):
            ways[piece] += count
    passed = {node: Mark.DONE for way in ways for node in way} | dict.fromkeys(visits, Mark.DONE)
    return Marks(passed | {entered[-1]: _last(run)}, frozenset(ways), visits)


def _last(run: RunStatus) -> Mark:
    """Give the mark of the state that a run entered last."""
    if not run.is_finished:
        return Mark.NOW
    return Mark.DONE if run.state == RunState.SUCCEEDED else Mark.FAILED


def _through(graph: Graph, here: str, there: str) -> Sequence[str]:
    """
    Give the nodes from one state to the next, and the choices between them, which leave no trace.

    Only the two of them where more than one way leads there by choices, or none does.
    """
    if (here, there) in set(graph.ways):
        return [here, there]
    found = list(_by_choices(graph, [here], there))
    return found[0] if len(found) == 1 else [here, there]


def _by_choices(graph: Graph, passed: Sequence[str], there: str) -> Iterator[Sequence[str]]:
    """Find the ways on from *passed* to *there* that meet choices alone."""
    choices = {node.id for node in graph.nodes if node.kind is NodeKind.CHOICE}
    for source, target in graph.ways:
        if source != passed[-1] or target in passed:
            continue
        if target == there and len(passed) > 1:
            yield [*passed, target]
        elif target in choices and len(passed) <= _CHOICES:
            yield from _by_choices(graph, [*passed, target], there)


def _of_steps(graph: Graph, steps: Sequence[StepStatus], run: RunStatus) -> Marks:
    """Mark the steps that have begun, by their keys or names, and the ways between them."""
    known = {node.id for node in graph.nodes}
    marks = {step.key or step.name: _mark(step) for step in steps}
    nodes = {name: mark for name, mark in marks.items() if name in known}
    nodes |= {name: Mark.SKIPPED for name in known if SKIPPED.format(name) in marks}
    nodes |= _left_out(graph, nodes, steps)
    if not run.is_finished:
        nodes |= _begun(graph, nodes)
    return Marks(nodes, frozenset(_walked(graph, nodes)))


def _left_out(
    graph: Graph, nodes: Mapping[str, Mark], steps: Sequence[StepStatus]
) -> dict[str, Mark]:
    """Mark the steps that were not chosen, and those that cannot begin any more."""
    chosen = {step.key: step.value for step in steps if step.key and not step.is_open}
    choices = {node.id for node in graph.nodes if node.kind is NodeKind.CHOICE}
    found: dict[str, Mark] = {}
    for edge in graph.edges:
        value = chosen.get(edge.source) if edge.source in choices else None
        if edge.note and isinstance(value, Mapping) and edge.target not in value.get("chosen", ()):
            found[edge.target] = Mark.SKIPPED
    size = -1
    while size != len(found):
        size = len(found)
        found |= _below(graph, found, nodes)
    return {name: mark for name, mark in found.items() if name not in nodes}


def _below(graph: Graph, found: Mapping[str, Mark], nodes: Mapping[str, Mark]) -> dict[str, Mark]:
    """Mark the steps that only lead on from such steps, and those that need a failed one."""
    more: dict[str, Mark] = {}
    for node in graph.nodes:
        before = [edge.source for edge in graph.edges if edge.target == node.id]
        marks = [nodes.get(each) or found.get(each) for each in before]
        if Mark.FAILED in marks or Mark.BLOCKED in marks:
            more[node.id] = Mark.BLOCKED
        elif before and all(found.get(each) is Mark.SKIPPED for each in before):
            more[node.id] = Mark.SKIPPED
    return more


def _begun(graph: Graph, nodes: Mapping[str, Mark]) -> dict[str, Mark]:
    """Mark the steps that may have begun: those before them are over, and they are not."""
    over = {name for name, mark in nodes.items() if mark in {Mark.DONE, Mark.SKIPPED}}
    return {
        node.id: Mark.NOW
        for node in graph.nodes
        if node.id not in nodes
        and all(edge.source in over for edge in graph.edges if edge.target == node.id)
    }


def _mark(step: StepStatus) -> Mark:
    if step.is_open:
        return Mark.NOW
    return Mark.FAILED if step.state in _FAILED else Mark.DONE


def _walked(graph: Graph, nodes: Mapping[str, Mark]) -> Iterator[Way]:
    """Give the ways between nodes that have begun, from those that are done."""
    for here, there in graph.ways:
        if nodes.get(here) is Mark.DONE and nodes.get(there) in _BEGUN:
            yield here, there
