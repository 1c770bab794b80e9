"""`stepflow schedules list`, `show` and `next`; the verbs that change something stand beside it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import ago, text
from stepflow.cli.params import limit_option

if TYPE_CHECKING:
    from stepflow.engine.schedules.info import FiringInfo, ScheduleInfo

#: the verbs of the group, and the modules that have them
_ELSEWHERE = {
    "put": "put",
    "pause": "steer",
    "resume": "steer",
    "trigger": "steer",
    "backfill": "steer",
    "delete": "steer",
}


class _Group(click.Group):
    """A group that imports what changes something when you call it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_ELSEWHERE]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module = import_module(f"stepflow.cli.schedules.{_ELSEWHERE[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command


@click.group("schedules", cls=_Group, short_help="Look at schedules, put them, steer them.")
@common_options
def schedules_command() -> None:
    """Look at schedules, put them and steer them."""


@schedules_command.command("list")
@limit_option(1000)
@common_options
@pass_context
def list_command(context: CliContext, limit: int) -> None:
    """List the schedules: when they run, in which time zone, and where they stand."""
    with context.client(starts=False) as client:
        found = client.schedules.list(limit=limit)
    rows = [
        (each.id, each.runner, _when(each), each.tz, each.state, each.next_at, each.last_run)
        for each in found
    ]
    columns = ("schedule", "runner", "when", "zone", "state", "next", "last run")
    context.output.records(found, columns, rows, empty="no schedules")


def _when(schedule: ScheduleInfo) -> str:
    declared = schedule.declared
    return schedule.when if declared is None else f"{schedule.when} (in code: {declared})"


@schedules_command.command("show")
@click.argument("schedule_id", metavar="SCHEDULE")
@common_options
@pass_context
def show_command(context: CliContext, schedule_id: str) -> None:
    """Show SCHEDULE and its last times: the run of each, or why it has none."""
    with context.client(starts=False) as client:
        seen, past = client.schedules.get(schedule_id), client.schedules.history(schedule_id)
    if context.json:
        context.output.data({"schedule": seen, "history": past})
        return
    show(context, seen)
    context.output.line("")
    rows = [(each.scheduled_for, each.run_id or _why(each), _late(each)) for each in past]
    context.output.table(("time", "run", "late"), rows, empty="none of its times has come yet")


def _why(firing: FiringInfo) -> str:
    times = f", {firing.count} times" if firing.count > 1 else ""
    return f"none: {firing.left_out}{times}"


def _late(firing: FiringInfo) -> str:
    late_s = (firing.at - firing.scheduled_for).total_seconds()
    return f"{late_s:.3f} s" if firing.run_id else ""


def show(context: CliContext, seen: ScheduleInfo) -> None:
    """Print where a schedule stands."""
    if context.json:
        context.output.data(seen)
        return
    facts = {
        "schedule": seen.id, "runner": seen.runner, "when": _when(seen), "zone": seen.tz,
        "state": seen.state, "note": seen.note, "paused by": seen.paused_by,
        "blocked": f"no live worker declares it since {text(seen.blocked_since)}"
        if seen.blocked_since else None,
        "next": seen.next_at, "overlap": seen.overlap, "catch-up": seen.catch_up,
        "queue": seen.queue, "runs": seen.runs, "last run": seen.last_run,
        "buffered": seen.buffered or None, "app": seen.app_version,
        "put": f"{ago(seen.created_at)} ago", "ended": seen.ended_at,
    }  # fmt: skip
    context.output.facts(facts, width=11)


@schedules_command.command("next")
@click.argument("schedule_id", metavar="SCHEDULE")
@click.option("-n", "count", type=click.IntRange(1, 1000), default=10, show_default=True)
@common_options
@pass_context
def next_command(context: CliContext, schedule_id: str, count: int) -> None:
    """Show the next times of SCHEDULE, in its time zone and in yours."""
    with context.client(starts=False) as client:
        found = client.schedules.next(schedule_id, count)
    rows = [(f"{each.at:%a %Y-%m-%d %H:%M:%S %Z}", each.at, each.note) for each in found]
    context.output.records(found, ("time", "here", "clock"), rows, empty="no further times")
