"""`stepflow signal` and `resume`: for runs that wait for somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.look.many import for_each, runs_argument
from stepflow.cli.params import JSON

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.core.run import RunStatus


@click.command("signal", short_help="Send RUN a signal.")
@click.argument("run")
@click.argument("name")
@click.argument("payload", type=JSON, default="null", metavar="[JSON]")
@click.option("--dedup", metavar="ID", help="A second signal with the same ID changes nothing.")
@common_options
@pass_context
def signal_command(
    context: CliContext, run: str, name: str, payload: Any, dedup: str | None
) -> None:
    """Send RUN the signal NAME; it stays in the mailbox until the run waits for it."""
    with context.client() as client:
        run_id = context.run_id(client, run)
        answer = client.signal(run_id, name, payload, dedup=dedup)
        if context.json:
            context.output.data({"id": run_id, "signal": name, "answer": answer})
        else:
            context.output.line(f"signal {name} for run {run_id}: {answer}")


@click.command("resume", short_help="Let paused RUNs continue.")
@runs_argument
@common_options
@pass_context
def resume_command(context: CliContext, runs: tuple[str, ...]) -> int:
    """Let a paused RUN continue at the step where it stopped."""

    def resume(client: Client, run: str) -> RunStatus | None:
        run_id = context.run_id(client, run)
        client.resume(run_id)
        if not context.json:
            context.output.line(f"run {run_id} goes on")
        return client.status(run_id) if context.json else None

    return for_each(context, runs, resume)
