"""A graph as text for other programs: Mermaid's state diagram, Graphviz' dot."""

from __future__ import annotations

from stepflow.core.graphs.graph import Graph, Node, NodeKind


def mermaid(graph: Graph) -> str:
    """Write *graph* as a Mermaid state diagram."""
    ids = {node.id: f"s{number}" for number, node in enumerate(graph.nodes)}
    lines = ["stateDiagram-v2"]
    for node in graph.nodes:
        if node.kind is NodeKind.CHOICE:
            lines.append(f"    state {ids[node.id]} <<choice>>")
        else:
            lines.append(f'    state "{_mermaid(_text(node))}" as {ids[node.id]}')
    lines += [f"    [*] --> {ids[start]}" for start in graph.starts]
    for edge in graph.edges:
        note = f": {_mermaid(edge.note)}" if edge.note else ""
        lines.append(f"    {ids[edge.source]} --> {ids[edge.target]}{note}")
    lines += [f"    {ids[node.id]} --> [*]" for node in graph.nodes if node.kind is NodeKind.END]
    return "\n".join(lines) + "\n"


def dot(graph: Graph, name: str) -> str:
    """Write *graph* in Graphviz' language."""
    lines = [f"digraph {_quoted(name)} {{", "    node [shape=box, style=rounded];"]
    for node in graph.nodes:
        shape = ", shape=diamond" if node.kind is NodeKind.CHOICE else ""
        ends = ", peripheries=2" if node.kind is NodeKind.END else ""
        lines.append(f"    {_quoted(node.id)} [label={_quoted(_text(node))}{shape}{ends}];")
    if graph.starts:
        lines.append('    "" [shape=point];')
    lines += [f'    "" -> {_quoted(start)};' for start in graph.starts]
    for edge in graph.edges:
        note = f" [label={_quoted(edge.note)}]" if edge.note else ""
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)}{note};")
    return "\n".join([*lines, "}"]) + "\n"


def _text(node: Node) -> str:
    return f"{node.text}\n{node.note}" if node.note else node.text


def _mermaid(text: str) -> str:
    return text.replace('"', "#quot;").replace("\n", "<br/>")


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'
