"""`stepflow cancel`, `fail` and `retry`."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.wait import end_code, report_end, wait_for_end
from stepflow.core.run import RunState


@click.command("cancel", short_help="Cancel RUN.")
@click.argument("run")
@click.option(
    "--reason", default="", metavar="TEXT", help="Stored with the run and sent to its hooks."
)
@click.option(
    "--wait",
    is_flag=True,
    help="Wait for the run's end and exit as it did (4 when it was cancelled).",
)
@common_options
@pass_context
def cancel_command(context: CliContext, run: str, reason: str, wait: bool) -> int | None:
    """Cancel RUN: at once when it waits; else its step is told to stop, and no other starts."""
    output = context.output
    with context.client() as client:
        run_id = context.run_id(client, run)
        before = client.status(run_id)
        ends = client.cancel(run_id, reason)
        status = client.status(run_id)
        if status is None:
            raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
        if not ends:
            raise Problem(f"run {run_id} is {status.state} already; there is nothing to cancel")
        if before is not None and before.state is RunState.CANCELLING:
            output.note(f"run {run_id} was being cancelled already")
        if wait:
            ended = wait_for_end(client, run_id, None, output)
            return (
                report_end(ended, output)
                if context.json
                else _say_end(context, ended.id, end_code(ended))
            )
        if context.json:
            output.data(status)
        else:
            output.line(f"run {run_id} is {status.state}")
    return None


def _say_end(context: CliContext, run_id: str, code: int) -> int:
    words = {
        Exit.OK: "had succeeded first",
        Exit.RUN_FAILED: "failed first",
        Exit.RUN_CANCELLED: "is cancelled",
    }
    context.output.line(f"run {run_id} {words[Exit(code)]}")
    return code


@click.command("fail", short_help="End RUN as failed, without any cleanup.")
@click.argument("run")
@click.option(
    "--reason", default="failed by hand", metavar="TEXT", help="Stored with the run as its error."
)
@common_options
@pass_context
def fail_command(context: CliContext, run: str, reason: str) -> None:
    """End RUN as failed without any cleanup: for a paused run that you will not resume."""
    with context.client() as client:
        run_id = context.run_id(client, run)
        changed = client.fail(run_id, reason)
        status = client.status(run_id)
        if status is None:
            raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
        if not changed:
            raise Problem(f"run {run_id} is {status.state} already; there is nothing to fail")
        if context.json:
            context.output.data(status)
        else:
            context.output.line(f"run {run_id} is {status.state}")


@click.command("retry", short_help="Run the last step of a failed RUN again.")
@click.argument("run")
@common_options
@pass_context
def retry_command(context: CliContext, run: str) -> None:
    """
    Run the last step of a failed RUN again, its attempts counted from 1.

    When the run ends again, its hooks fire again.
    """
    with context.client() as client:
        run_id = context.run_id(client, run)
        client.retry(run_id)
        if context.json:
            context.output.data(client.status(run_id))
        else:
            context.output.line(f"run {run_id} goes on")
