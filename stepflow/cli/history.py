"""`stepflow fork`: branch off a run's history."""

from __future__ import annotations

from typing import Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import JSON


@click.command("fork", short_help="Start a new run with the results of RUN up to STEP.")
@click.argument("run")
@click.option(
    "--at",
    required=True,
    metavar="STEP",
    help="The first step to run again, by name, place or key.",
)
@click.option(
    "--id", "new_id", metavar="ID", help="Id of the new run; the same fork again is the same run."
)
@click.option(
    "--version",
    type=click.IntRange(1),
    metavar="N",
    help="Version of the workflow; that of RUN by default.",
)
@click.option(
    "--set",
    "payload",
    metavar="JSON",
    help="Input of the new run, '-' for stdin; that of RUN by default.",
)
@common_options
@pass_context
def fork_command(
    context: CliContext, /, run: str, at: str, new_id: str | None, version: int | None, **given: Any
) -> None:
    """
    Start a new run with the results of RUN up to STEP, and print its id.

    RUN stays as it is.
    """
    with context.client() as client:
        run_id = context.run_id(client, run)
        if given["payload"] is None:
            del given["payload"]
        else:
            given["payload"] = JSON.convert(given["payload"], None, None)
        fork = client.fork(run_id, at, new_id=new_id, version=version, **given)
    if not fork.created:
        context.output.note(f"run {fork.id} was there already")
    context.output.said({"id": fork.id, "created": fork.created}, fork.id)
