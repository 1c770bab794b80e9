"""`stepflow hooks list` and `redeliver`."""

from __future__ import annotations

from dataclasses import asdict

import click

from stepflow.cli.context import Setup, common_options, pass_setup


@click.group("hooks")
@common_options
def hooks_command() -> None:
    """Deliveries of terminal hooks: list them, send one again."""


@hooks_command.command("list")
@click.option("--run", metavar="RUN", help="All deliveries of this run instead of all dead ones.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@common_options
@pass_setup
def list_command(setup: Setup, run: str | None, limit: int) -> None:
    """List the dead deliveries, the last to die first, or those of one run."""
    with setup.client() as client:
        run_id = None if run is None else setup.run_id(client, run)
        found = [asdict(hook) for hook in client.hooks(run_id, limit=limit)]
    if setup.json:
        setup.screen.data(found)
        return
    columns = ("id", "target", "state", "tries", "due_at", "problem")
    rows = [[row[name] for name in columns] for row in found]
    setup.screen.table(
        ["hook", *columns[1:]],
        rows,
        empty="no dead deliveries" if run is None else "no deliveries kept",
    )


@hooks_command.command("redeliver")
@click.argument("hook")
@common_options
@pass_setup
def redeliver_command(setup: Setup, hook: str) -> None:
    """Send the delivery HOOK again, its tries anew."""
    with setup.client() as client:
        client.redeliver(hook)
    if setup.json:
        setup.screen.data({"id": hook, "state": "pending"})
    else:
        setup.screen.line(f"hook {hook} is queued")
