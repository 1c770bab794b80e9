"""`stepflow completion`: the script by which a shell completes verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@pass_context
def completion_command(context: CliContext, shell: str) -> None:
    """
    Print the completion script for SHELL.

    Put `eval "$(stepflow completion bash)"` into its start-up file.
    """
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if kind is None:
        raise Problem(f"no completion for {shell}", Exit.USAGE)
    script = kind(root, {}, "stepflow", "_STEPFLOW_COMPLETE").source_vars()
    text = kind.source_template % script
    context.output.said({"shell": shell, "script": text}, text)
