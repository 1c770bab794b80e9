"""`stepflow cancel`, `fail` and `retry`."""

from __future__ import annotations

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.wait import end_code, report_end, wait_for_end
from stepflow.core.run import RunState


@click.command("cancel")
@click.argument("run")
@click.option(
    "--reason", default="", metavar="TEXT", help="Kept with the run and told to its hooks."
)
@click.option(
    "--wait",
    is_flag=True,
    help="Wait for the run's end and exit as it did (4 when it was cancelled).",
)
@common_options
@pass_setup
def cancel_command(setup: Setup, run: str, reason: str, wait: bool) -> int | None:
    """Cancel RUN: at once when it waits; a running step is told, and no further one starts."""
    screen = setup.screen
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        before = client.status(run_id)
        ends = client.cancel(run_id, reason)
        status = client.status(run_id)
        if status is None:
            raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
        if not ends:
            raise Problem(f"run {run_id} is {status.state} already; there is nothing to cancel")
        if before is not None and before.state is RunState.CANCELLING:
            screen.note(f"run {run_id} was being cancelled already")
        if wait:
            ended = wait_for_end(client, run_id, None, screen)
            return (
                report_end(ended, screen)
                if setup.json
                else _say_end(setup, ended.id, end_code(ended))
            )
        if setup.json:
            screen.data(status)
        else:
            screen.line(f"run {run_id} is {status.state}")
    return None


def _say_end(setup: Setup, run_id: str, code: int) -> int:
    words = {
        Exit.OK: "had succeeded first",
        Exit.RUN_FAILED: "failed first",
        Exit.RUN_CANCELLED: "is cancelled",
    }
    setup.screen.line(f"run {run_id} {words[Exit(code)]}")
    return code


@click.command("fail")
@click.argument("run")
@click.option(
    "--reason", default="failed by hand", metavar="TEXT", help="Kept with the run as its error."
)
@common_options
@pass_setup
def fail_command(setup: Setup, run: str, reason: str) -> None:
    """End RUN as failed without its last word: for a paused run that is not to be resumed."""
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        changed = client.fail(run_id, reason)
        status = client.status(run_id)
        if status is None:
            raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
        if not changed:
            raise Problem(f"run {run_id} is {status.state} already; there is nothing to fail")
        if setup.json:
            setup.screen.data(status)
        else:
            setup.screen.line(f"run {run_id} is {status.state}")


@click.command("retry")
@click.argument("run")
@common_options
@pass_setup
def retry_command(setup: Setup, run: str) -> None:
    """
    Take a failed RUN up again at its last step, attempts fresh.

    Its hooks fire again at its new end.
    """
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        client.retry(run_id)
        if setup.json:
            setup.screen.data(client.status(run_id))
        else:
            setup.screen.line(f"run {run_id} goes on")
