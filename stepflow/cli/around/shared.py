"""`stepflow shared list` and `drop`."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import limit_option


@click.group("shared", short_help="List and drop values that runs share.")
@common_options
def shared_command() -> None:
    """List and drop values that runs share, of steps with `cache=` and of `step.memo.shared`."""


@shared_command.command("list")
@click.argument("name", required=False)
@limit_option(100)
@common_options
@pass_context
def list_command(context: CliContext, name: str | None, limit: int) -> None:
    """List the values of the step NAME; without it, the steps that have any."""
    with context.client(starts=False) as client:
        if name is None:
            names = client.shared.names()
            if context.json:
                context.output.data(names)
            else:
                context.output.table(("step",), [(each,) for each in names], empty="no values")
            return
        found = client.shared.list(name, limit=limit)
    rows = [(each.id, each.key, each.run_id, each.at, each.until, each.size) for each in found]
    columns = ("id", "key", "computed by", "at", "until", "bytes")
    context.output.records(found, columns, rows, empty="no values")


@shared_command.command("drop")
@click.argument("name")
@click.argument("ids", nargs=-1)
@common_options
@pass_context
def drop_command(context: CliContext, name: str, ids: tuple[str, ...]) -> None:
    """Drop the values IDS of the step NAME; without ids, all of them."""
    with context.client() as client:
        dropped = client.shared.drop(name, ids or None, by=context.user)
    context.output.said(
        {"name": name, "dropped": dropped}, f"{dropped} values of {name} are dropped"
    )
