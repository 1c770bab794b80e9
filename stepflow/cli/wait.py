"""`stepflow watch` and `result`: follow a run to its end and exit as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.output import Output
from stepflow.cli.params import DURATION
from stepflow.core.run import RunState, RunStatus

if TYPE_CHECKING:
    from stepflow.client import Client

_EXIT_OF = {
    RunState.SUCCEEDED: Exit.OK,
    RunState.FAILED: Exit.RUN_FAILED,
    RunState.CANCELLED: Exit.RUN_CANCELLED,
}
#: seconds between two looks at a run that is watched; its end is published at once
_LOOK_S = 1.0


@click.command("result", short_help="Wait for RUN's end and print its result.")
@click.argument("run")
@click.option(
    "--timeout", type=DURATION, metavar="S", help="Stop waiting after this time (exit 6)."
)
@common_options
@pass_context
def result_command(context: CliContext, run: str, timeout: float | None) -> int:
    """Wait for RUN's end, print its result as JSON, and exit as the run did."""
    with context.client() as client:
        run_id = context.run_id(client, run)
        return report_end(wait_for_end(client, run_id, timeout, context.output), context.output)


@click.command("watch", short_help="Print what happens to RUN until it ends.")
@click.argument("run")
@common_options
@pass_context
def watch_command(context: CliContext, run: str) -> int:
    """Print what happens to RUN until it ends, and exit as the run did."""
    output = context.output
    with context.client() as client:
        run_id = context.run_id(client, run)
        shown: object = None
        try:
            while True:
                status = client.status(run_id)
                if status is None:
                    raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
                if (now := (status.state, status.step, status.attempt, status.worker)) != shown:
                    shown = now
                    _tell(status, output)
                if status.is_finished:
                    return end_code(status)
                _until_end(client, run_id, _LOOK_S)
        except KeyboardInterrupt:
            raise goes_on(run_id) from None


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
        f"interrupted; run {run_id} goes on: see it with stepflow watch {run_id}", Exit.INTERRUPTED
    )


def report_end(run: RunStatus, output: Output) -> int:
    """Print the result, or why there is none; returns the exit code of the run's end."""
    if output.json:
        output.data(run)
    elif run.state is RunState.SUCCEEDED:
        output.data(run.result)
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


def _until_end(client: Client, run_id: str, timeout_s: float) -> None:
    try:
        client.wait(run_id, timeout_s)
    except TimeoutError:
        return


def _tell(run: RunStatus, output: Output) -> None:
    if output.json:
        output.data(run)
        return
    from stepflow.cli.output import text

    where = f" on {run.worker}" if run.worker and not run.is_finished else ""
    waits = f", waits for {run.waits_for}" if run.waits_for else ""
    line = (
        end_sentence(run)
        if run.is_finished
        else f"run {run.id} {run.state}, step {run.step}, attempt {run.attempt}"
    )
    output.line(f"{text(run.updated_at or run.created_at)}  {line}{where}{waits}")
