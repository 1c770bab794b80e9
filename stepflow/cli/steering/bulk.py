"""`stepflow bulk list`, `show`, `stop` and `resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import ago
from stepflow.cli.params import limit_option

if TYPE_CHECKING:
    from stepflow.engine.steering.bulk import BulkInfo


@click.group("bulk", short_help="Look at bulks, stop one, or take it up again.")
@common_options
def bulk_command() -> None:
    """
    Look at bulks, stop one, or take it up again.

    A verb with --where begins one: stepflow cancel --where 'runner=order older=1h'.
    """


@bulk_command.command("list")
@limit_option(50)
@common_options
@pass_context
def list_command(context: CliContext, limit: int) -> None:
    """List the bulks, the last one first."""
    with context.client(starts=False) as client:
        found = client.bulks(limit=limit)
    rows = [
        (bulk.id, bulk.verb, bulk.where, bulk.state, _far(bulk), bulk.by, ago(bulk.created_at))
        for bulk in found
    ]
    columns = ("bulk", "verb", "where", "state", "done", "by", "age")
    context.output.records(found, columns, rows, empty="no bulks")


def _far(bulk: BulkInfo) -> str:
    return str(bulk.done) if bulk.total is None else f"{bulk.done}/{bulk.total}"


@bulk_command.command("show")
@click.argument("bulk_id", metavar="BULK")
@common_options
@pass_context
def show_command(context: CliContext, bulk_id: str) -> None:
    """Show how far BULK has come."""
    with context.client(starts=False) as client:
        _show(context, client.bulk_info(bulk_id))


@bulk_command.command("stop")
@click.argument("bulk_id", metavar="BULK")
@common_options
@pass_context
def stop_command(context: CliContext, bulk_id: str) -> None:
    """Stop BULK where it is."""
    with context.client() as client:
        _show(context, client.stop_bulk(bulk_id, by=context.user))


@bulk_command.command("resume")
@click.argument("bulk_id", metavar="BULK")
@common_options
@pass_context
def resume_command(context: CliContext, bulk_id: str) -> None:
    """Have a stopped BULK go on where it stopped."""
    with context.client() as client:
        _show(context, client.resume_bulk(bulk_id, by=context.user))


def _show(context: CliContext, bulk: BulkInfo) -> None:
    if context.json:
        context.output.data(bulk)
        return
    facts = {
        "bulk": bulk.id, "verb": bulk.verb, "where": bulk.where, "state": bulk.state,
        "runs": "being selected" if bulk.total is None else bulk.total, "done": bulk.done,
        "refused": bulk.refused or None, "changed": bulk.changed or None, "gone": bulk.gone or None,
        "rate": f"{bulk.rate:g} a second", "by": bulk.by, "begun": bulk.created_at,
        "ended": bulk.ended_at,
    }  # fmt: skip
    context.output.facts(facts, width=11)
