"""`stepflow schedules pause`, `resume`, `trigger`, `backfill` and `delete`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.params import SINCE

_ID = click.argument("schedule_id", metavar="SCHEDULE")


@click.command("pause")
@_ID
@click.option("--note", default="", metavar="TEXT", help="Kept with the schedule and shown.")
@common_options
@pass_context
def pause_command(context: CliContext, schedule_id: str, note: str) -> None:
    """Pause SCHEDULE: its times have no runs until it is resumed."""
    with context.client() as client:
        changed = client.schedules.pause(schedule_id, note, by=context.user)
    words = "is paused" if changed else "was paused already"
    _say(context, schedule_id, words, {"changed": changed})


@click.command("resume")
@_ID
@click.option("--catch-up", is_flag=True, help="Make up for the times that came meanwhile.")
@common_options
@pass_context
def resume_command(context: CliContext, schedule_id: str, catch_up: bool) -> None:
    """Let SCHEDULE go on."""
    with context.client() as client:
        changed = client.schedules.resume(schedule_id, catch_up=catch_up, by=context.user)
    words = "is resumed" if changed else "was not paused"
    _say(context, schedule_id, words, {"changed": changed})


@click.command("trigger")
@_ID
@click.option(
    "--overlap",
    type=click.Choice(["allow", "skip", "cancel_other"]),
    default="allow",
    show_default=True,
    help="What becomes of it while the last run goes on.",
)
@common_options
@pass_context
def trigger_command(context: CliContext, schedule_id: str, overlap: str) -> None:
    """Begin a run of SCHEDULE now, whatever its times."""
    with context.client() as client:
        run_id = client.schedules.trigger(schedule_id, overlap=overlap, by=context.user)
    if context.json:
        context.output.data({"id": schedule_id, "run": run_id})
    elif run_id is None:
        context.output.line(f"schedule {schedule_id}: its last run has not ended; nothing begun")
    else:
        context.output.line(run_id)


@click.command("backfill")
@_ID
@click.option("--from", "start", type=SINCE, required=True, help="The first time, or how long ago.")
@click.option("--to", "end", type=SINCE, help="The last time; now by default.")
@click.option(
    "--overlap",
    type=click.Choice(["buffer_all", "allow"]),
    default="buffer_all",
    show_default=True,
    help="One after the other, or side by side.",
)
@click.option("--rate", type=float, default=100.0, show_default=True, help="Runs a second.")
@common_options
@pass_context
def backfill_command(
    context: CliContext,
    schedule_id: str,
    start: datetime | timedelta,
    end: datetime | timedelta | None,
    overlap: str,
    rate: float,
) -> None:
    """
    Begin the runs of the times of SCHEDULE that are past.

    Workers carry it out as a bulk: stepflow bulk show BULK. Times that have had their run are left
    alone, so the same backfill again goes on where it was stopped.
    """
    with context.client() as client:
        bulk = client.schedules.backfill(
            schedule_id,
            _moment(start),
            _moment(end or timedelta()),
            overlap=overlap,
            rate=rate,
            by=context.user,
        )
    context.output.said(bulk, f"bulk {bulk.id} begun; stepflow bulk show {bulk.id}")


def _moment(given: datetime | timedelta) -> datetime:
    return given if isinstance(given, datetime) else datetime.now(UTC) - given


@click.command("delete")
@_ID
@common_options
@pass_context
def delete_command(context: CliContext, schedule_id: str) -> None:
    """Delete SCHEDULE; its runs stay. One that code declares comes back with its workers."""
    with context.client() as client:
        deleted = client.schedules.delete(schedule_id, by=context.user)
    if not deleted:
        raise Problem(f"there is no schedule {schedule_id!r}", Exit.NOT_FOUND)
    _say(context, schedule_id, "is deleted", {"deleted": True})


def _say(context: CliContext, schedule_id: str, words: str, document: dict[str, bool]) -> None:
    context.output.said({"id": schedule_id, **document}, f"schedule {schedule_id} {words}")
