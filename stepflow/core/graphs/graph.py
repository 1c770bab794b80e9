"""`Graph`: nodes and the ways between them, as a kit declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class NodeKind(StrEnum):
    """What a node is, which says how it is drawn."""

    STEP = "step"
    #: chooses the way, and leaves no trace of its own in a run's history
    CHOICE = "choice"
    END = "end"


@dataclass(frozen=True, slots=True)
class Node:
    """
    A state, or a step.

    *id* is what a run's history calls it: the label of a state, the key or name of a step. *label*
    is written instead where it is given, *note* below it in small (`poll`, `http`). *doc* says what
    it does.
    """

    id: str
    label: str = ""
    note: str = ""
    doc: str = ""
    kind: NodeKind = NodeKind.STEP

    @property
    def text(self) -> str:
        """What is written on it."""
        return self.label or self.id


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from one node to another; *note* is written at it in text, such as a condition."""

    source: str
    target: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """
    Nodes in the order in which they were declared, and the ways between them.

    *starts* are the nodes where a run begins. A way from or to what is no node, a second one
    between the same two, and a second node of the same id, are left out.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    starts: tuple[str, ...] = ()
    doc: str = ""

    def __post_init__(self) -> None:
        nodes = {node.id: node for node in reversed(self.nodes)}
        edges = {(edge.source, edge.target): edge for edge in reversed(self.edges)}
        kept = [edge for (one, other), edge in edges.items() if one in nodes and other in nodes]
        object.__setattr__(self, "nodes", tuple(reversed(nodes.values())))
        object.__setattr__(self, "edges", tuple(reversed(kept)))
        object.__setattr__(self, "starts", tuple(each for each in self.starts if each in nodes))

    @property
    def ways(self) -> Sequence[tuple[str, str]]:
        """From which node a run may go to which."""
        return [(edge.source, edge.target) for edge in self.edges]

    def to_plain(self) -> list[Any]:
        """Write it as it is stored: lists of text, to which a later version may add at the end."""
        nodes = [[each.id, each.label, each.note, each.doc, str(each.kind)] for each in self.nodes]
        edges = [[each.source, each.target, each.note] for each in self.edges]
        return [nodes, edges, list(self.starts), self.doc]

    @classmethod
    def of_plain(cls, plain: Any) -> Graph:
        """Read it as it is stored; raises ValueError for what is none."""
        try:
            nodes, edges, starts, doc = plain[:4]
            return cls(
                tuple(_node(*map(str, each[:5])) for each in nodes),
                tuple(Edge(*map(str, each[:3])) for each in edges),
                tuple(map(str, starts)),
                str(doc),
            )
        except (TypeError, LookupError, ValueError) as fault:
            msg = f"what is stored is no graph: {fault}"
            raise ValueError(msg) from fault


def _node(name: str, label: str, note: str, doc: str, kind: str) -> Node:
    known = NodeKind(kind) if kind in set(NodeKind) else NodeKind.STEP
    return Node(name, label, note, doc, known)
