"""`stepflow cancel`, `fail` and `retry`, each for one RUN or several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.many import Answer, for_each, runs_argument
from stepflow.cli.steering.where import do_to_many, many_of, runs_or_where
from stepflow.cli.wait import end_code, end_sentence, wait_for_end
from stepflow.core.run import RunState, RunStatus
from stepflow.errors import stands

if TYPE_CHECKING:
    from stepflow.client import Client


@click.command("cancel", short_help="Cancel RUNs.")
@runs_or_where
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
def cancel_command(
    context: CliContext, /, runs: tuple[str, ...], reason: str, wait: bool, **options: Any
) -> int:
    """
    Cancel RUN: now if it waits; else its step is told to stop, and no further one starts.

    With --where workers cancel all runs that fit and were there before.
    """
    output = context.output
    if (many := many_of(runs, options)) is not None:
        return do_to_many(context, "cancel", many, reason=reason)

    def cancel(client: Client, run: str) -> RunStatus | Answer:
        run_id = context.run_id(client, run)
        before = client.status(run_id)
        ends = client.cancel(run_id, reason, by=context.user)
        status = _kept(client, run_id)
        if not ends:
            raise Problem(
                f"run {run_id} {stands(status.state)} already; there is nothing to cancel"
            )
        if before is not None and before.state is RunState.CANCELLING:
            output.note(f"run {run_id} was being cancelled already")
        if not wait:
            return _say(context, status)
        ended = wait_for_end(client, run_id, None, output)
        if not context.json:
            _say_end(context, ended)
        elif ended.state is not RunState.SUCCEEDED:
            output.note(end_sentence(ended))
        return Answer(ended, end_code(ended))

    return for_each(context, runs, cancel)


def _kept(client: Client, run_id: str) -> RunStatus:
    status = client.status(run_id)
    if status is None:
        raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
    return status


def _say(context: CliContext, status: RunStatus) -> RunStatus:
    if not context.json:
        context.output.line(f"run {status.id} is {status.state}")
    return status


def _say_end(context: CliContext, run: RunStatus) -> None:
    words = {
        Exit.OK: "had succeeded first",
        Exit.RUN_FAILED: "failed first",
        Exit.RUN_CANCELLED: "is cancelled",
    }
    context.output.line(f"run {run.id} {words[Exit(end_code(run))]}")


@click.command("fail", short_help="End RUNs as failed, without any cleanup.")
@runs_argument
@click.option(
    "--reason", default="failed by hand", metavar="TEXT", help="Stored with the run as its error."
)
@common_options
@pass_context
def fail_command(context: CliContext, runs: tuple[str, ...], reason: str) -> int:
    """End RUN as failed without any cleanup: for a paused run that you will not resume."""

    def fail(client: Client, run: str) -> RunStatus:
        run_id = context.run_id(client, run)
        changed = client.fail(run_id, reason, by=context.user)
        status = _kept(client, run_id)
        if not changed:
            raise Problem(f"run {run_id} {stands(status.state)} already; there is nothing to fail")
        return _say(context, status)

    return for_each(context, runs, fail)


@click.command("retry", short_help="Run failed RUNs again from the step that failed.")
@runs_or_where
@common_options
@pass_context
def retry_command(context: CliContext, /, runs: tuple[str, ...], **options: Any) -> int:
    """
    Run a failed RUN again from the step that failed, with all its attempts.

    When the run ends again, its hooks are called again. With --where workers retry all that fit and
    had failed before.
    """
    if (many := many_of(runs, options)) is not None:
        return do_to_many(context, "retry", many)

    def retry(client: Client, run: str) -> RunStatus | None:
        run_id = context.run_id(client, run)
        client.retry(run_id)
        if not context.json:
            context.output.line(f"run {run_id} goes on")
        return client.status(run_id) if context.json else None

    return for_each(context, runs, retry)
