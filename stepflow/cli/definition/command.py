"""`stepflow definition schema`, `check` and `graph`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem

if TYPE_CHECKING:
    from stepflow.kits.definition.checking.source import Fault
    from stepflow.kits.definition.definitions import Definitions

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group("definition", short_help="Check definitions, workflows as data, and draw them.")
@common_options
def definition_command() -> None:
    """Check definitions (workflows as data) and draw them. It asks no server."""


@definition_command.command("schema")
@common_options
@pass_context
def schema_command(context: CliContext) -> None:
    """Print the JSON Schema of definitions, for editors; with --app also of its own kinds."""
    from stepflow.kits.definition.checking.schema import schema_of

    context.output.data(schema_of(definitions_of(context)))


@definition_command.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@common_options
@pass_context
def check_command(context: CliContext, files: tuple[Path, ...]) -> int:
    """
    Print all that is wrong in FILES, each with its line and place; exits with 1 if anything is.

    A folder stands for its files. With --app the names of tools, runners and variables are checked
    as well.
    """
    from stepflow.kits.definition.checking.source import read_file
    from stepflow.kits.definition.definitions import files_in

    book = definitions_of(context)
    paths = [each for file in files for each in files_in(file)]
    sources = [read_file(path) for path in paths]
    book.foresee(sources)
    faults = [fault for source in sources for fault in book.faults(source)]
    if context.json:
        context.output.data([_as_data(fault) for fault in faults])
    else:
        for fault in faults:
            context.output.line(str(fault))
        sound = len(sources) - len({fault.file for fault in faults})
        found = "1 problem" if len(faults) == 1 else f"{len(faults)} problems"
        context.output.note(f"{found}; {sound} of {len(sources)} files are right")
    return Exit.ERROR if faults else Exit.OK


def _as_data(fault: Fault) -> dict[str, object]:
    from stepflow.kits.definition.checking.source import written

    return {
        "file": fault.file, "line": fault.line, "path": written(fault.way),
        "problem": fault.problem,
    }  # fmt: skip


@definition_command.command("graph")
@_FILE
@click.option("--mermaid", "form", flag_value="mermaid", default="mermaid", help="For Mermaid.")
@click.option("--dot", "form", flag_value="dot", help="For Graphviz.")
@common_options
@pass_context
def graph_command(context: CliContext, file: Path, form: str) -> None:
    """Draw the definition in FILE: its steps, and which wait for which."""
    from stepflow.core.graphs.text import dot, mermaid
    from stepflow.kits.definition.draw import graph_of

    definition = definitions_of(context).read(file)
    graph = graph_of(definition)
    if context.json:
        ways = [[edge.source, edge.target, edge.note] for edge in graph.edges]
        steps = [node.id for node in graph.nodes]
        context.output.data({"definition": definition.name, "steps": steps, "ways": ways})
        return
    text = mermaid(graph) if form == "mermaid" else dot(graph, definition.name)
    context.output.line(text.rstrip())


def definitions_of(context: CliContext) -> Definitions:
    """Give what the app of the options knows; without one, what every app knows."""
    app = context.load_app()
    if app is None:
        from stepflow.engine.registry import Registry
        from stepflow.kits.definition.definitions import Definitions

        book = Definitions(Registry(), context.settings())
        book.known.is_app = False
        return book
    found: Definitions | None = app.registry.definitions
    if found is None:
        raise Problem("this app runs no definitions; call app.definitions(...)", Exit.USAGE)
    return found
