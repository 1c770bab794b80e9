"""`stepflow completion`: the script that makes a shell complete verbs and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.errors import Exit, Problem


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
@pass_setup
def completion_command(setup: Setup, shell: str) -> None:
    """
    Print the completion script for SHELL.

    Eval "$(stepflow completion bash)" in its start-up file.
    """
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if kind is None:
        raise Problem(f"no completion for {shell}", Exit.USAGE)
    script = kind(root, {}, "stepflow", "_STEPFLOW_COMPLETE").source_vars()
    text = kind.source_template % script
    if setup.json:
        setup.screen.data({"shell": shell, "script": text})
    else:
        setup.screen.line(text)
