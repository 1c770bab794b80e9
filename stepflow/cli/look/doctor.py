"""`stepflow doctor`: whether all is well, and what to do where it is not."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import Output

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.engine.doctor import Finding, Report

#: findings that are printed, for people
_SHOWN = 50


@click.command("doctor", short_help="Look for what is broken, and mend it.")
@click.argument("runs", metavar="[RUN...]", nargs=-1)
@click.option("--repair", is_flag=True, help="Mend what is broken, remove what is left over.")
@click.option("--deep", is_flag=True, help="Go through every key for runs that no list names.")
@common_options
@pass_context
def doctor_command(context: CliContext, runs: tuple[str, ...], repair: bool, deep: bool) -> int:
    """
    Look at server, workers, queues and every live run, or only at RUN, and say what is broken.

    Exit code 0: all is well. 1: something is broken, or stands until somebody does something.
    Workers mend most of what is broken themselves, within five minutes; --repair does at once.
    """
    with context.client(starts=False) as client:
        ids = [context.run_id(client, run) for run in runs]
        with context.output.waiting("looking"):
            report = _examine(client, ids, repair=repair, deep=deep)
    if context.json:
        context.output.data({**_plain(report), "is_well": report.is_well})
    else:
        _print(report, context.output, repair=repair)
    return 0 if report.is_well else 1


def _examine(client: Client, run_ids: list[str], *, repair: bool, deep: bool) -> Report:
    from stepflow.engine.doctor import examine
    from stepflow.store.connection.sync import carry_out

    steps = examine(client.env, run_ids, deep=deep, repair=repair)
    wait_s, plan = next(steps)
    while True:
        if wait_s:
            time.sleep(wait_s)
        answer = carry_out(client.connection, plan)
        try:
            wait_s, plan = steps.send(answer)
        except StopIteration as end:
            report: Report = end.value
            return report


def _plain(report: Report) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(report)


def _print(report: Report, output: Output, *, repair: bool) -> None:
    from stepflow.cli.output import span

    for line in report.lines:
        output.line(f"{line.level:<5} {line.what:<12} {line.sentence}")
    looked = f"{report.runs:,} live runs, {report.hooks:,} hooks, {report.members:,} index entries"
    output.line(f"looked at {looked} in {span(report.took_s)}")
    for finding in report.findings[:_SHOWN]:
        output.line(f"{finding.code:<9} {finding.where}: {finding.sentence}{_mended(finding)}")
    left = len(report.findings) - _SHOWN
    if left > 0:
        output.note(f"{left:,} more are not shown: --json shows them")
    if not report.findings:
        output.line("nothing is broken")
    elif not repair:
        output.line("stepflow doctor --repair mends these")


def _mended(finding: Finding) -> str:
    if finding.is_mended is None:
        return ""
    return "; mended" if finding.is_mended else "; it moved meanwhile, nothing was done"
