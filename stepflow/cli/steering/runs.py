"""`stepflow pause`, `run-now` and `delete`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.many import for_each, runs_argument
from stepflow.cli.params import DURATION
from stepflow.cli.steering.where import do_to_many, many_of, runs_or_where

if TYPE_CHECKING:
    from stepflow.client import Client


@click.command("pause", short_help="Pause RUN until somebody resumes it.")
@runs_or_where
@click.option("--reason", default="", metavar="TEXT", help="Stored with the run and shown.")
@common_options
@pass_context
def pause_command(context: CliContext, /, runs: Sequence[str], reason: str, **options: Any) -> int:
    """
    Pause RUN until somebody resumes it: at once when it waits, else when its step is done.

    It takes signals and answers meanwhile, and its timeout goes on. With --where workers pause all
    that fit and were there before.
    """
    if (many := many_of(runs, options)) is not None:
        return do_to_many(context, "pause", many, reason=reason)

    def pause(client: Client, run: str) -> Any:
        run_id = context.run_id(client, run)
        if client.pause(run_id, reason):
            _say(context, f"run {run_id} is paused")
        else:
            _say(context, f"run {run_id} is running; it is paused when its step is done")
        return client.status(run_id)

    return for_each(context, runs, pause)


@click.command("run-now", short_help="Start a scheduled RUN, or its next attempt, now.")
@runs_argument
@common_options
@pass_context
def run_now_command(context: CliContext, runs: Sequence[str]) -> int:
    """Start RUN now that is scheduled for later, or that waits for its next attempt."""

    def start(client: Client, run: str) -> Any:
        run_id = context.run_id(client, run)
        moved = client.run_now(run_id)
        _say(context, f"run {run_id} is {'due now' if moved else 'in its queue already'}")
        return client.status(run_id)

    return for_each(context, runs, start)


@click.command("delete", short_help="Delete ended RUNs, with all that is kept of them.")
@runs_or_where
@click.option("--force", is_flag=True, help="Cancel a RUN that has not ended, then delete it.")
@click.option(
    "--timeout",
    type=DURATION,
    default="30s",
    show_default=True,
    help="With --force: how long to wait for its end and its hooks.",
)
@common_options
@pass_context
def delete_command(
    context: CliContext, /, runs: Sequence[str], force: bool, timeout: float, **options: Any
) -> int:
    """
    Delete ended RUNs, with all that is kept of them: data, output, indexes, hooks.

    One that has a hook to be delivered, or children that live, is not deleted. With --where workers
    delete all that fit and had ended before.
    """
    if (many := many_of(runs, options)) is not None:
        if force:
            raise Problem("--force takes RUNs; cancel what fits first", Exit.USAGE)
        return do_to_many(context, "delete", many)

    def delete(client: Client, run: str) -> Any:
        run_id = context.run_id(client, run)
        deleted = client.delete(run_id, force=force, timeout=timeout)
        _say(context, f"run {run_id} {'is deleted' if deleted else 'is no longer kept'}")
        return {"id": run_id, "deleted": deleted}

    return for_each(context, runs, delete)


def _say(context: CliContext, sentence: str) -> None:
    if not context.json:
        context.output.line(sentence)
