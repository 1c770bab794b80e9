"""`stepflow signal` and `resume`: what people say to runs that wait for them."""

from __future__ import annotations

from typing import Any

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.params import JSON


@click.command("signal")
@click.argument("run")
@click.argument("name")
@click.argument("payload", type=JSON, default="null", metavar="[JSON]")
@click.option("--dedup", metavar="ID", help="The same ID again changes nothing.")
@common_options
@pass_setup
def signal_command(setup: Setup, run: str, name: str, payload: Any, dedup: str | None) -> None:
    """Send RUN the signal NAME; kept in its mailbox until it asks for it."""
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        answer = client.signal(run_id, name, payload, dedup=dedup)
        if setup.json:
            setup.screen.data({"id": run_id, "signal": name, "answer": answer})
        else:
            setup.screen.line(f"signal {name} for run {run_id}: {answer}")


@click.command("resume")
@click.argument("run")
@common_options
@pass_setup
def resume_command(setup: Setup, run: str) -> None:
    """Take a paused RUN up again at the step it stopped at."""
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        client.resume(run_id)
        if setup.json:
            setup.screen.data(client.status(run_id))
        else:
            setup.screen.line(f"run {run_id} goes on")
