"""A definition as a drawing: its steps, and which wait for which."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import ValidationError

from stepflow.kits.definition.kinds.condition import ConditionInput, as_list
from stepflow.kits.definition.model import Definition, StepSpec


class Edge(NamedTuple):
    """A way from a step to one that waits for it; *label* says when a condition takes it."""

    source: str
    target: str
    label: str = ""


def edges(definition: Definition) -> list[Edge]:
    """List the ways, in the order of the steps."""
    labels = {(step.id, target): label for step in definition.steps
              for target, label in _choices(step).items()}  # fmt: skip
    return [
        Edge(source, step.id, labels.get((source, step.id), ""))
        for step in definition.steps
        for source in step.depends_on
    ]


def _choices(step: StepSpec) -> dict[str, str]:
    """Give what a condition may choose, each with its expression."""
    if step.kind != "condition":
        return {}
    try:
        given = ConditionInput.model_validate(step.input)
    except ValidationError:
        return {}
    found = dict.fromkeys(as_list(given.otherwise), "else")
    for case in reversed(given.cases):
        found |= dict.fromkeys(as_list(case.then), case.when)
    return found


def words_of(step: StepSpec) -> str:
    """Say in a few words what a step does, for its box."""
    said = [step.kind]
    if step.kind in {"tool", "run"}:
        said.append(str(step.input.get("tool") or step.input.get("runner")
                        or step.input.get("definition") or ""))  # fmt: skip
    if step.kind == "map":
        said.append(f"of {step.input.get('kind')}")
    if step.skip_if is not None:
        said.append("may be skipped")
    return " ".join(filter(None, said))


def mermaid(definition: Definition) -> str:
    """Draw it as a Mermaid flowchart."""
    ids = {step.id: f"s{number}" for number, step in enumerate(definition.steps)}
    lines = ["flowchart TD"]
    for step in definition.steps:
        text = f'"{_mermaid(step.id)}<br/>{_mermaid(words_of(step))}"'
        box = f"{{{{{text}}}}}" if step.kind == "condition" else f"[{text}]"
        lines.append(f"    {ids[step.id]}{box}")
    for edge in edges(definition):
        if edge.source in ids:
            label = f'|"{_mermaid(edge.label)}"|' if edge.label else ""
            lines.append(f"    {ids[edge.source]} -->{label} {ids[edge.target]}")
    return "\n".join(lines) + "\n"


def dot(definition: Definition) -> str:
    """Draw it in Graphviz' language."""
    lines = [f"digraph {_quoted(definition.name)} {{", "    node [shape=box, style=rounded];"]
    for step in definition.steps:
        shape = ", shape=hexagon" if step.kind == "condition" else ""
        text = f"{step.id}\n{words_of(step)}"
        lines.append(f"    {_quoted(step.id)} [label={_quoted(text)}{shape}];")
    for edge in edges(definition):
        label = f" [label={_quoted(edge.label)}]" if edge.label else ""
        lines.append(f"    {_quoted(edge.source)} -> {_quoted(edge.target)}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def _mermaid(text: str) -> str:
    marks = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": "<br/>"}
    return "".join(marks.get(char, char) for char in text)


def _quoted(text: str) -> str:
    inside = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inside}"'
