"""`stepflow result`: wait for a run's end and exit as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.output import Output
from stepflow.cli.params import DURATION
from stepflow.core.run import RunState, RunStatus
from stepflow.shell import to_type

if TYPE_CHECKING:
    from stepflow.client import Client

_EXIT_OF = {
    RunState.SUCCEEDED: Exit.OK,
    RunState.FAILED: Exit.RUN_FAILED,
    RunState.CANCELLED: Exit.RUN_CANCELLED,
}


@click.command("result", short_help="Wait for RUN's end and print its result.")
@click.argument("run")
@click.option(
    "--timeout", type=DURATION, metavar="S", help="Stop waiting after this time (exit 6)."
)
@common_options
@pass_context
def result_command(context: CliContext, run: str, timeout: float | None) -> int:
    """Wait for RUN's end, print its result as JSON, and exit as the run did."""
    with context.client(starts=False) as client:
        run_id = context.run_id(client, run)
        return report_end(wait_for_end(client, run_id, timeout, context.output), context.output)


def wait_for_end(client: Client, run_id: str, timeout: float | None, output: Output) -> RunStatus:
    """Wait for a run's end; raises TimeoutError, and on Ctrl-C says that the run goes on."""
    try:
        with output.waiting(f"waiting for run {run_id}"):
            return client.wait(run_id, timeout)
    except KeyboardInterrupt:
        raise goes_on(run_id) from None


def goes_on(run_id: str) -> Problem:
    """Make the sentence that only the waiting was interrupted."""
    return Problem(
        f"interrupted; run {run_id} goes on: see it with {to_type('watch', run_id)}",
        Exit.INTERRUPTED,
    )


def report_end(run: RunStatus, output: Output) -> int:
    """Print the result, or why there is none; returns the exit code of the run's end."""
    if output.json:
        output.data(run)
    elif run.state is RunState.SUCCEEDED:
        from stepflow.client.base import result_of  # `--help` loads no client

        output.data(result_of(run))
    if run.state is not RunState.SUCCEEDED:
        output.note(end_sentence(run))
    return end_code(run)


def end_code(run: RunStatus) -> int:
    """Return the exit code of a run's end."""
    return _EXIT_OF[run.state]


def end_sentence(run: RunStatus) -> str:
    """Write how a run ended, and why."""
    why = f"{run.error.type}: {run.error.message}" if run.error is not None else run.reason
    return f"run {run.id} {run.state}" + (f": {why}" if why else "")
