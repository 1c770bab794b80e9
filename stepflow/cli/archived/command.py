"""`stepflow archive health`, `show`, `prune`, `snapshot`, `snapshots`, `restore` and `work`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import DURATION
from stepflow.core.run import ENDS

if TYPE_CHECKING:
    from stepflow.archive.values import Pruned

_RUN = click.argument("run", metavar="RUN")


@click.group("archive", short_help="Look into the archive, snapshot runs and restore them.")
@common_options
def archive_command() -> None:
    """
    Look into the archive, prune it, take snapshots of runs and go on from them.

    STEPFLOW_ARCHIVE_URL, or the app, says where it is. `stepflow list --archived` lists its runs.
    """


@archive_command.command("health")
@common_options
@pass_context
def health_command(context: CliContext) -> None:
    """Say where the archive is, the version of its tables and how many ends it holds."""
    with context.client(starts=False) as client:
        found = client.archive.health()
    if context.json:
        context.output.data(found)
        return
    context.output.line(f"{found.url}: {found.runs:,} ends, tables of version {found.schema}")


@archive_command.command("show")
@_RUN
@common_options
@pass_context
def show_command(context: CliContext, run: str) -> None:
    """Show the last archived end of RUN and its steps, as JSON."""
    with context.client(starts=False) as client:
        found = client.archive.get(run)
        steps = client.archive.steps(found)
    context.output.document({"run": _plain(found), "steps": _plain(steps)}, indent=2)


@archive_command.command("prune")
@click.option(
    "--older", type=DURATION, required=True, metavar="TIME", help="Ended longer ago than: 365d."
)
@click.option(
    "--state", type=click.Choice([str(end) for end in ENDS]), help="Only runs with this end."
)
@click.option("--runner", metavar="NAME", help="Only runs of this runner.")
@click.option("--dry-run", is_flag=True, help="Count, and delete nothing.")
@common_options
@pass_context
def prune_command(
    context: CliContext, older: float, state: str | None, runner: str | None, dry_run: bool
) -> None:
    """Delete archived runs that ended long ago, with their steps, documents and snapshots."""
    with context.client(starts=False) as client:
        gone = client.archive.prune(
            timedelta(seconds=older), state=state, runner=runner, dry_run=dry_run
        )
    if context.json:
        context.output.data(gone)
        return
    context.output.line(_in_words(gone))


@archive_command.command("snapshot")
@_RUN
@click.option("--why", default="", metavar="TEXT", help="What it is taken for.")
@common_options
@pass_context
def snapshot_command(context: CliContext, run: str, why: str) -> None:
    """Take a snapshot of RUN and print its number."""
    with context.client(starts=False) as client:
        number = client.archive.snapshot(context.run_id(client, run), why=why)
    context.output.line(str(number))


@archive_command.command("snapshots")
@_RUN
@common_options
@pass_context
def snapshots_command(context: CliContext, run: str) -> None:
    """List the snapshots that are kept of RUN, newest first."""
    with context.client(starts=False) as client:
        found = client.archive.snapshots(run)
    rows = [(each.number, each.taken_at, each.state, each.step, each.why) for each in found]
    context.output.records(
        found, ("number", "taken", "state", "step", "why"), rows, empty="no snapshots"
    )


@archive_command.command("restore")
@_RUN
@click.option(
    "--snapshot", type=int, metavar="NUMBER", help="A certain one; else the latest there is."
)
@click.option("--id", "new_id", metavar="ID", help="Id of the new run.")
@common_options
@pass_context
def restore_command(
    context: CliContext, run: str, snapshot: int | None, new_id: str | None
) -> None:
    """
    Start a new run that goes on from a snapshot of RUN, and print its id.

    Without --snapshot it goes on from the latest that the archive has: a snapshot, or its end.
    RUN is not touched, and need not be in Redis any more.
    """
    with context.client() as client:
        restored = client.archive.restore(run, snapshot, new_id=new_id, by=context.user)
    context.output.said({"id": restored}, restored)


@archive_command.command("work")
@click.option("--burst", is_flag=True, help="Stop when nothing waits any more.")
@click.option("--beside", is_flag=True, hidden=True, help="As the child of a worker.")
@common_options
@pass_context
def work_command(context: CliContext, burst: bool, beside: bool) -> None:
    """
    Archive the ends of runs that wait, until SIGTERM or Ctrl-C.

    `stepflow worker` does so beside itself, unless STEPFLOW_ARCHIVE_PROCESSES is 0. It needs no
    app: the ends of all apps of the name space are archived, to STEPFLOW_ARCHIVE_URL.
    """
    from stepflow.cli.archived.work import work, work_beside

    if beside:
        work_beside()
    else:
        work(context, burst=burst)


def _in_words(gone: Pruned) -> str:
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(gone.states.items()))
    said = f"{gone.runs:,} ends{f' ({states})' if states else ''}"
    if gone.oldest is not None and gone.newest is not None:
        said += f" from {gone.oldest:%Y-%m-%d} to {gone.newest:%Y-%m-%d}"
    return f"would delete {said}" if gone.is_dry else f"deleted {said}"


def _plain(value: object) -> object:
    from stepflow.cli.output import jsonable

    return jsonable(value)
