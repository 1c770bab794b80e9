"""`stepflow hooks list` and `redeliver`."""

from __future__ import annotations

from dataclasses import asdict

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import limit_option


@click.group("hooks")
@common_options
def hooks_command() -> None:
    """List the deliveries of hooks, or send one again."""


@hooks_command.command("list")
@click.option("--run", metavar="RUN", help="List all deliveries of this run.")
@limit_option(50)
@common_options
@pass_context
def list_command(context: CliContext, run: str | None, limit: int) -> None:
    """List the deliveries that were given up, newest first, or all those of one run."""
    with context.client(starts=False) as client:
        run_id = None if run is None else context.run_id(client, run)
        found = [asdict(hook) for hook in client.hooks(run_id, limit=limit)]
    columns = ("id", "target", "state", "tries", "due_at", "problem")
    rows = [[row[name] for name in columns] for row in found]
    context.output.records(
        found,
        ["hook", *columns[1:]],
        rows,
        empty="no dead deliveries" if run is None else "no deliveries kept",
    )


@hooks_command.command("redeliver")
@click.argument("hook")
@common_options
@pass_context
def redeliver_command(context: CliContext, hook: str) -> None:
    """Send the delivery HOOK again, with all its tries."""
    with context.client() as client:
        client.redeliver(hook)
    context.output.said({"id": hook, "state": "pending"}, f"hook {hook} is queued")
