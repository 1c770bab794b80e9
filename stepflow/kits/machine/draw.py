"""A machine as a graph, for drawings."""

from __future__ import annotations

from collections.abc import Callable
from inspect import getdoc
from typing import Any

from stepflow.core.graphs import Edge, Graph, Node, NodeKind
from stepflow.kits.machine.forms import Form, Router
from stepflow.kits.machine.machine import Machine


def graph_of(machine: Machine[Any, Any]) -> Graph:
    """Give the states of *machine*, and from which it may go to which."""
    forms = {
        label: form for label, form in machine.forms.items() if label not in machine.end_labels
    }
    return Graph(
        tuple(
            _node(label, forms.get(label), is_end=label in machine.end_labels)
            for label in machine.labels
        ),
        tuple(
            Edge(label, target)
            for label in machine.labels
            if label in forms
            for target in forms[label].to
        ),
        (machine.label_of_start,),
        machine.doc,
    )


def _node(label: str, form: Form | None, *, is_end: bool) -> Node:
    kind = NodeKind.END if is_end else NodeKind.STEP
    if form is None:
        return Node(label, kind=kind)
    if isinstance(form, Router):
        kind = NodeKind.CHOICE
    return Node(label, note=form.words(), doc=_first_line(form.function), kind=kind)


def _first_line(function: Callable[..., Any]) -> str:
    """Give the first line of a function's docstring, if it has one of its own."""
    written = getattr(function, "__doc__", None)
    return (getdoc(function) or "").partition("\n")[0] if written else ""
