"""
Graphs of what a run may do: the states of a machine, the steps of a definition.

A kit makes a `Graph` and registers it; `text.py` writes one for other programs, the dashboard draws
it with what a run has done of it.
"""

from stepflow.core.graphs.graph import Edge, Graph, Node, NodeKind
from stepflow.core.graphs.marks import Mark, Marks

__all__ = ["Edge", "Graph", "Mark", "Marks", "Node", "NodeKind"]
