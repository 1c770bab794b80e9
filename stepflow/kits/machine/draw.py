"""A machine as a drawing: Mermaid's state diagram, or Graphviz' dot."""

from __future__ import annotations

from typing import Any

from stepflow.kits.machine.forms import Router
from stepflow.kits.machine.machine import Machine


def mermaid(machine: Machine[Any, Any]) -> str:
    """Draw *machine* as a Mermaid state diagram."""
    ids = {label: f"s{number}" for number, label in enumerate(machine.labels)}
    lines = ["stateDiagram-v2"]
    for label, node in ids.items():
        form = None if label in machine.end_labels else machine.forms.get(label)
        if isinstance(form, Router):
            lines.append(f"    state {node} <<choice>>")
            continue
        words = "" if form is None else form.words()
        text = f"{label}<br/>{words}" if words else label
        lines.append(f'    state "{_mermaid(text)}" as {node}')
    lines.append(f"    [*] --> {ids[machine.label_of_start]}")
    lines += [f"    {ids[source]} --> {ids[target]}" for source, target in edges(machine)]
    lines += [f"    {node} --> [*]" for label, node in ids.items() if label in machine.end_labels]
    return "\n".join(lines) + "\n"


def dot(machine: Machine[Any, Any]) -> str:
    """Draw *machine* in Graphviz' language."""
    lines = [f"digraph {_quoted(machine.name)} {{", "    node [shape=box, style=rounded];"]
    for label in machine.labels:
        form = None if label in machine.end_labels else machine.forms.get(label)
        words = "" if form is None else form.words()
        text = _quoted(f"{label}\n{words}" if words else label)
        shape = ", shape=diamond" if isinstance(form, Router) else ""
        ends = ", peripheries=2" if label in machine.end_labels else ""
        lines.append(f"    {_quoted(label)} [label={text}{shape}{ends}];")
    lines.append('    "" [shape=point];')
    lines.append(f'    "" -> {_quoted(machine.label_of_start)};')
    lines += [f"    {_quoted(source)} -> {_quoted(target)};" for source, target in edges(machine)]
    return "\n".join([*lines, "}"]) + "\n"


def edges(machine: Machine[Any, Any]) -> list[tuple[str, str]]:
    """List from which state the machine may go to which."""
    return [
        (label, target)
        for label in machine.labels
        if label in machine.forms and label not in machine.end_labels
        for target in machine.forms[label].to
    ]


def _mermaid(text: str) -> str:
    return text.replace('"', "#quot;").replace("\n", "<br/>")


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'
