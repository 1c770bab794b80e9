"""`stepflow list`."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import ago
from stepflow.core.run import RunState, RunStatus

#: the columns of a list of runs; `row_of` fills them
COLUMNS = ("run", "runner", "state", "step", "attempt", "queue", "age", "where")


@click.command("list", short_help="List runs, newest first.")
@click.option(
    "--state",
    type=click.Choice([str(state) for state in RunState]),
    help="Only runs in this state.",
)
@click.option("--runner", metavar="NAME", help="Only runs of this runner.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Rows at most."
)
@click.option("--cursor", metavar="TEXT", help="Continue where the previous page ended.")
@common_options
@pass_context
def list_command(
    context: CliContext, state: str | None, runner: str | None, limit: int, cursor: str | None
) -> None:
    """List runs, newest first."""
    with context.client(starts=False) as client:
        page = client.list(state=state, runner=runner, limit=limit, cursor=cursor)
    if context.json:
        context.output.data({"runs": list(page.runs), "cursor": page.cursor})
        return
    context.output.table(COLUMNS, [row_of(run) for run in page.runs], empty="no such runs")
    if page.cursor is not None:
        context.output.note(f"there may be more: --cursor '{page.cursor}'")


def row_of(run: RunStatus) -> tuple[object, ...]:
    """Return a run's row in a list of runs."""
    where = (run.unreadable and f"unreadable: {run.unreadable}") or (
        "" if run.is_finished else run.worker or run.waits_for
    )
    return (
        run.id,
        run.runner,
        run.state,
        None if run.is_workflow else run.step,
        run.attempt,
        run.queue,
        ago(run.created_at),
        where,
    )
