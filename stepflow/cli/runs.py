"""`stepflow list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import ago
from stepflow.cli.params import PAIR, SINCE
from stepflow.core.run import RunState, RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stepflow.client import Client
    from stepflow.engine.why import Why

#: live runs of a page of which is told where they stand; of the rest what their records say
_EXPLAINED = 200
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
@click.option("--queue", "-q", metavar="NAME", help="Only runs on this queue.")
@click.option("--parent", metavar="RUN", help="Only the children of RUN.")
@click.option("--roots", is_flag=True, help="Only runs that are no children.")
@click.option(
    "--since", type=SINCE, metavar="TIME", help="Submitted since: 2h ago, or an ISO 8601 time."
)
@click.option(
    "--header", "headers", type=PAIR, multiple=True, metavar="K=V", help="Only with this header."
)
@click.option("--tag", "tags", type=PAIR, multiple=True, metavar="K=V", help="Only with this tag.")
@click.option("--where", metavar="CONDITIONS", help="Only runs that fit: 'error~timeout older=1h'.")
@click.option(
    "--archived", "with_archive", is_flag=True, help="Also runs that only the archive has."
)
@click.option("--cursor", "--after", metavar="TEXT", help="Continue where the previous page ended.")
@common_options
@pass_context
def list_command(
    context: CliContext,
    /,
    parent: str | None,
    headers: tuple[tuple[str, str], ...],
    tags: tuple[tuple[str, str], ...],
    with_archive: bool,
    **options: Any,
) -> None:
    """
    List runs, newest first: by when they ended, else by when they were submitted.

    What has no index is looked for among 5,000 runs at a time; --after goes on. Indexes are those
    of ends (--state), runners and tags. With --archived, what Redis has comes first.
    """
    with context.client(starts=False) as client:
        parent = None if parent is None else context.run_id(client, parent)
        listing = client.archive.list_both if with_archive else client.list
        page = listing(parent=parent, headers=dict(headers), tags=dict(tags), **options)
        live = [run.id for run in page.runs if not run.is_finished][:_EXPLAINED]
        told = {} if context.json else _explained(client, live)
    if context.json:
        found = {"runs": list(page.runs), "cursor": page.cursor, "scanned": page.scanned}
        context.output.data(found)
        return
    context.output.table(
        COLUMNS, [row_of(run, told.get(run.id)) for run in page.runs], empty="no such runs"
    )
    if page.cursor is not None:
        context.output.note(f"looked at {page.scanned:,} runs; go on with --after '{page.cursor}'")


def _explained(client: Client, run_ids: Sequence[str]) -> dict[str, Why]:
    """Say where runs stand; nothing to a user who may list them and not look any closer."""
    from stepflow.errors import RedisRefused

    try:
        return {why.run_id: why for why in client.why_many(run_ids)}
    except RedisRefused:
        return {}


def row_of(run: RunStatus, why: Why | None = None) -> tuple[object, ...]:
    """Return a run's row in a list of runs; *why* says where it stands."""
    from stepflow.engine.why import where_it_stands

    where = "" if run.is_finished and not run.unreadable else where_it_stands(run, why)
    where = "in the archive" if run.is_archived else where
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
