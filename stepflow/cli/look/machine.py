"""`stepflow machine`: the graph of a state machine, to look at."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem


@click.command("machine", short_help="Draw the state machine NAME of the app APP.")
@click.argument("app_path", metavar="APP")
@click.argument("name")
@click.option("--mermaid", "form", flag_value="mermaid", default="mermaid", help="For Mermaid.")
@click.option("--dot", "form", flag_value="dot", help="For Graphviz.")
@click.option("--version", type=int, help="The version of the machine, by default the newest.")
@common_options
@pass_context
def machine_command(
    context: CliContext, app_path: str, name: str, form: str, version: int | None
) -> None:
    """
    Draw the state machine NAME of APP (module:app): its states, and where each may go.

    It asks no server. With --json it prints the states and the ways as data.
    """
    from stepflow.core.graphs import NodeKind
    from stepflow.core.graphs.text import dot, mermaid
    from stepflow.core.ids import split_runner
    from stepflow.errors import did_you_mean

    app = context.load_app(app_path)
    assert app is not None
    graphs = {split_runner(key): graph for key, graph in app.registry.graphs.items()}
    versions = [number for called, number in graphs if called == name]
    chosen = max(versions, default=0) if version is None else version
    if chosen not in versions:
        known = sorted({called for called, _ in graphs})
        what = name if version is None or not versions else f"{name} version {version}"
        hint = did_you_mean(name, known) or f"; it has {', '.join(known) or 'none'}"
        raise Problem(f"{app_path} has no machine {what}{hint}", Exit.NOT_FOUND)
    graph = graphs[name, chosen]
    if context.json:
        context.output.data({
            "name": name, "version": chosen, "start": "".join(graph.starts),
            "ends": sorted(node.id for node in graph.nodes if node.kind is NodeKind.END),
            "states": [node.id for node in graph.nodes], "ways": graph.ways,
        })  # fmt: skip
        return
    drawing = dot(graph, name) if form == "dot" else mermaid(graph)
    context.output.line(drawing.rstrip())
