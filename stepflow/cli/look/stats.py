"""`stepflow stats`: what was counted lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import Output, ago, span

if TYPE_CHECKING:
    from stepflow.engine.stats import FailureGroup, RunnerStats, Stats


@click.command("stats", short_help="Show what was counted: runs, steps, errors.")
@click.option(
    "--minutes", type=click.IntRange(1, 360), default=60, show_default=True, metavar="N",
    help="Failures in so many minutes count as recent.",
)  # fmt: skip
@click.option(
    "--hours", type=click.IntRange(1, 168), default=24, show_default=True, metavar="N",
    help="How many hours are added up.",
)  # fmt: skip
@common_options
@pass_context
def stats_command(context: CliContext, minutes: int, hours: int) -> None:
    """
    Show what runners did in the last hours, and which errors ended runs.

    Workers send their counts once a second. --json also gives each minute and each hour.
    """
    with context.client(starts=False) as client:
        found = client.stats(minutes=minutes, hours=hours)
    if context.json:
        context.output.data(found)
    else:
        _show(found, context.output, minutes)


def _show(stats: Stats, output: Output, minutes: int) -> None:
    columns = (
        "runner", "submitted", "succeeded", "failed", "cancelled", "attempts", "retried", "p50",
        "p95",
    )  # fmt: skip
    output.table(columns, _rows(stats.runners), empty="nothing was counted in these hours")
    if stats.failing:
        output.line("")
        groups = ("failing", "error", f"last {minutes} min", "in all", "since", "last")
        output.table(groups, [_failing(group) for group in stats.failing], empty="")


def _rows(runners: Sequence[RunnerStats]) -> list[Sequence[object]]:
    return [
        (
            runner.runner, runner.submitted,
            *(runner.ended.get(state, 0) for state in ("succeeded", "failed", "cancelled")),
            sum(runner.steps.values()), _again(runner.steps), _short(runner.p50_s),
            _short(runner.p95_s),
        )
        for runner in runners
    ]  # fmt: skip


def _again(steps: Mapping[str, int]) -> int:
    return sum(steps.get(end, 0) for end in ("retried", "lost", "handed_back"))


def _short(seconds: float | None) -> str | None:
    """Write a time in a unit that leaves it a few digits."""
    if seconds is None or seconds >= 1:
        return None if seconds is None else span(seconds)
    return f"{seconds * 1e3:.3g} ms"


def _failing(group: FailureGroup) -> Sequence[object]:
    return (
        group.runner, group.error, group.recent, group.count, f"{ago(group.since)} ago",
        f"{ago(group.last_at)} ago",
    )  # fmt: skip
