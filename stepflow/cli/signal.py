"""`stepflow signal` and `resume`: for runs that wait for somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.conditions import CONDITIONS, Conditions
from stepflow.cli.look.many import for_each
from stepflow.cli.params import JSON

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.core.run import RunStatus

#: paused runs read at once when many are resumed
PAGE = 200


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
@click.argument("runs", metavar="[RUN...]", nargs=-1)
@click.option("--runner", metavar="NAME", help="With --all: the paused runs of this runner.")
@click.option("--all", "is_all", is_flag=True, help="All paused runs, or those of --runner.")
@click.option(
    "--where",
    type=CONDITIONS,
    metavar="CONDITIONS",
    help="The paused runs that fit, such as 'workflow=order reason~code'.",
)
@common_options
@pass_context
def resume_command(
    context: CliContext,
    runs: tuple[str, ...],
    runner: str | None,
    is_all: bool,
    where: Conditions | None,
) -> int:
    """
    Let paused RUNs continue at the step where they stopped.

    --where takes conditions that must all hold: name=text, or name~text for a part of it. Names are
    workflow (or runner), version, queue, id, reason and header.NAME. Safe to repeat.
    """
    if (where is not None or is_all) == bool(runs) or (runner and not is_all):
        raise Problem("name RUNs, or give --where, --all or --runner NAME --all", Exit.USAGE)
    if not runs:
        conditions = Conditions([]) if where is None else where
        return _resume_many(context, runner or conditions.value_of("runner"), conditions)

    def resume(client: Client, run: str) -> RunStatus | None:
        run_id = context.run_id(client, run)
        client.resume(run_id)
        if not context.json:
            context.output.line(f"run {run_id} goes on")
        return client.status(run_id) if context.json else None

    return for_each(context, runs, resume)


def _resume_many(context: CliContext, runner: str | None, conditions: Conditions) -> int:
    """Resume all paused runs that fit, a page at a time, but those that others have resumed."""
    from stepflow.errors import NotResumable, RunNotFound, UnreadableRecord

    resumed: list[str] = []
    problems: list[dict[str, str]] = []
    with context.client() as client:
        cursor = None
        while True:
            page = client.list(state="paused", runner=runner, limit=PAGE, cursor=cursor)
            for run in filter(conditions.hold_for, page.runs):
                try:
                    client.resume(run.id)
                except (NotResumable, RunNotFound):
                    continue  # somebody else was there first
                except UnreadableRecord as error:
                    problems.append({"id": run.id, "problem": str(error)})
                else:
                    resumed.append(run.id)
            cursor = page.cursor
            if cursor is None:
                break
    if context.json:
        context.output.data({"resumed": resumed, "problems": problems})
    else:
        for problem in problems:
            context.output.note(problem["problem"])
        context.output.line(f"{len(resumed)} paused runs go on")
    return Exit.ERROR if problems else Exit.OK
