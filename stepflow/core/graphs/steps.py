"""The graph of a workflow that is data, by its steps as they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from stepflow.core.graphs.graph import Edge, Graph, Node, NodeKind

#: fields of an input that say best what a step is about
_ABOUT = ("tool", "runner", "definition", "kind", "agent")


def graph_of_steps(steps: Iterable[Mapping[str, Any]], doc: str = "") -> Graph:
    """Make the graph of *steps*, each with `id`, `kind`, `depends_on` and `input`."""
    steps = list(steps)
    return Graph(
        tuple(_node(step) for step in steps),
        tuple(edge for step in steps for edge in _edges(step, steps)),
        tuple(str(step["id"]) for step in steps if not step.get("depends_on")),
        doc,
    )


def _node(step: Mapping[str, Any]) -> Node:
    kind, given = str(step.get("kind", "")), step.get("input")
    about = given if isinstance(given, Mapping) else {}
    said = [kind, *(str(about[name]) for name in _ABOUT if isinstance(about.get(name), str))]
    shape = NodeKind.CHOICE if kind == "condition" else NodeKind.STEP
    return Node(str(step["id"]), note=" ".join(said), kind=shape)


def _edges(step: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> Iterator[Edge]:
    """Give the ways to *step*; that of a choice says when it is taken."""
    choices = {each["id"]: _choices(each) for each in steps if each.get("kind") == "condition"}
    for source in step.get("depends_on") or ():
        yield Edge(str(source), str(step["id"]), choices.get(source, {}).get(step["id"], ""))


def _choices(step: Mapping[str, Any]) -> dict[str, str]:
    given = step.get("input") or {}
    found = dict.fromkeys(_listed(given.get("else")), "else")
    for case in reversed(given.get("cases") or ()):
        found |= dict.fromkeys(_listed(case.get("then")), str(case.get("when")))
    return found


def _listed(given: Any) -> list[str]:
    if isinstance(given, str):
        return [given]
    return [str(each) for each in given] if isinstance(given, list) else []
