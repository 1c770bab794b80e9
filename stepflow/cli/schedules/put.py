"""`stepflow schedules put`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import DURATION, JSON, PRIORITY, SINCE
from stepflow.cli.schedules.command import show


@click.command("put", short_help="Put a schedule: RUNNER runs at the times of a cron line.")
@click.argument("schedule_id", metavar="SCHEDULE")
@click.argument("runner")
@click.argument("cron", required=False)
@click.option("--payload", type=JSON, help="JSON for each run; - reads stdin.")
@click.option("--tz", metavar="ZONE", help="Time zone of CRON, such as Europe/Berlin.")
@click.option("--every", type=DURATION, help="Instead of CRON: a run every so often.")
@click.option("--offset", type=DURATION, help="From the epoch, for --every.")
@click.option("--at", multiple=True, type=SINCE, help="Instead of CRON: a run at this time.")
@click.option("--jitter", type=DURATION, help="By how much runs begin later at most.")
@click.option(
    "--overlap",
    type=click.Choice(["skip", "buffer_one", "buffer_all", "cancel_other", "allow"]),
    help="What becomes of a time while the run before it goes on.",
)
@click.option(
    "--catch-up",
    type=click.Choice(["latest", "all", "none"]),
    help="What becomes of times that no worker was there for.",
)
@click.option("--catch-up-within", type=DURATION, help="How old those may be.")
@click.option("--until", type=SINCE, help="No time after it has a run.")
@click.option("--max-runs", type=click.IntRange(1), help="End after so many runs.")
@click.option("--pause-on-failure", is_flag=True, default=None, help="Pause when a run fails.")
@click.option("--queue", help="The queue of the runs.")
@click.option("--priority", type=PRIORITY, help="0 (first) to 9, or high, normal, low for 2, 5, 8.")
@click.option("--timeout", type=DURATION, help="Of each run.")
@common_options
@pass_context
def put_command(
    context: CliContext,
    /,
    schedule_id: str,
    runner: str,
    cron: str | None,
    at: tuple[datetime | timedelta, ...],
    until: datetime | timedelta | None,
    payload: Any,
    **given: Any,
) -> None:
    """
    Put a schedule: RUNNER runs at the times of CRON, of --every or of --at.

    Over one with the same id, whose pause stays. Of one that code declares only the times can be
    put.
    """
    options = {name: value for name, value in given.items() if value is not None}
    if at:
        options["at"] = [_moment(each) for each in at]
    if until is not None:
        options["until"] = _moment(until)
    with context.client() as client:
        seen = client.schedules.put(
            schedule_id, runner, cron, payload=payload, by=context.user, **options
        )
    show(context, seen)


def _moment(given: datetime | timedelta) -> datetime:
    """Give the moment itself, or the one so long from now."""
    return given if isinstance(given, datetime) else datetime.now().astimezone() + given
