"""A definition as a graph, for drawings."""

from __future__ import annotations

from stepflow.core.graphs import Graph
from stepflow.core.graphs.steps import graph_of_steps
from stepflow.kits.definition.model import Definition


def graph_of(definition: Definition) -> Graph:
    """Give the steps of *definition*, and which of them wait for which."""
    steps = [step.model_dump(mode="json", by_alias=True) for step in definition.steps]
    return graph_of_steps(steps, definition.description)
