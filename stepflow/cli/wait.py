"""`stepflow watch` and `result`: follow a run to its end and exit as it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.output import Screen
from stepflow.cli.params import DURATION
from stepflow.core.run import RunState, RunStatus

if TYPE_CHECKING:
    from stepflow.client import Client

_EXIT_OF = {
    RunState.SUCCEEDED: Exit.OK,
    RunState.FAILED: Exit.RUN_FAILED,
    RunState.CANCELLED: Exit.RUN_CANCELLED,
}
#: seconds between looks at a run that is watched; its end is heard of at once
_LOOK_S = 1.0


@click.command("result")
@click.argument("run")
@click.option(
    "--timeout", type=DURATION, metavar="S", help="Give up waiting after so long (exit 6)."
)
@common_options
@pass_setup
def result_command(setup: Setup, run: str, timeout: float | None) -> int:
    """Wait for RUN's end and print its result as JSON; exits as the run did."""
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        return report_end(wait_for_end(client, run_id, timeout, setup.screen), setup.screen)


@click.command("watch")
@click.argument("run")
@common_options
@pass_setup
def watch_command(setup: Setup, run: str) -> int:
    """Print what happens to RUN until its end; exits as the run did."""
    screen = setup.screen
    with setup.client() as client:
        run_id = setup.run_id(client, run)
        shown: object = None
        try:
            while True:
                status = client.status(run_id)
                if status is None:
                    raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
                if (now := (status.state, status.step, status.attempt, status.worker)) != shown:
                    shown = now
                    _tell(status, screen)
                if status.is_finished:
                    return end_code(status)
                _until_end(client, run_id, _LOOK_S)
        except KeyboardInterrupt:
            raise goes_on(run_id) from None


def wait_for_end(client: Client, run_id: str, timeout: float | None, screen: Screen) -> RunStatus:
    """Wait for a run's end; TimeoutError, and on Ctrl-C the word that the run goes on."""
    try:
        with screen.waiting(f"waiting for run {run_id}"):
            return client.wait(run_id, timeout)
    except KeyboardInterrupt:
        raise goes_on(run_id) from None


def goes_on(run_id: str) -> Problem:
    """Say that only the waiting was interrupted."""
    return Problem(
        f"interrupted; run {run_id} goes on: see it with stepflow watch {run_id}", Exit.INTERRUPTED
    )


def report_end(run: RunStatus, screen: Screen) -> int:
    """Print the result, or why there is none, and give the exit code that mirrors the run."""
    if screen.json:
        screen.data(run)
    elif run.state is RunState.SUCCEEDED:
        screen.data(run.result)
    if run.state is not RunState.SUCCEEDED:
        screen.note(end_sentence(run))
    return end_code(run)


def end_code(run: RunStatus) -> int:
    """Give the exit code that mirrors a run's end."""
    return _EXIT_OF[run.state]


def end_sentence(run: RunStatus) -> str:
    """Say how a run ended, and why."""
    why = f"{run.error.type}: {run.error.message}" if run.error is not None else run.reason
    return f"run {run.id} {run.state}" + (f": {why}" if why else "")


def _until_end(client: Client, run_id: str, timeout_s: float) -> None:
    try:
        client.wait(run_id, timeout_s)
    except TimeoutError:
        return


def _tell(run: RunStatus, screen: Screen) -> None:
    if screen.json:
        screen.data(run)
        return
    from stepflow.cli.output import text

    where = f" on {run.worker}" if run.worker and not run.is_finished else ""
    waits = f", waits for {run.waits_for}" if run.waits_for else ""
    line = (
        end_sentence(run)
        if run.is_finished
        else f"run {run.id} {run.state}, step {run.step}, attempt {run.attempt}"
    )
    screen.line(f"{text(run.updated_at or run.created_at)}  {line}{where}{waits}")
