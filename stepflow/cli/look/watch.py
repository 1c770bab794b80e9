"""`stepflow watch`: follow a run, step by step, to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import Output
from stepflow.cli.wait import end_code, end_sentence, goes_on

if TYPE_CHECKING:
    from stepflow.cli.look.changes import Changes
    from stepflow.client import Client
    from stepflow.engine.timeline import Timeline

#: seconds between two looks at a run that is watched; its end is published at once
_LOOK_S = 1.0


@click.command("watch", short_help="Print what happens to RUN until it ends.")
@click.argument("run")
@common_options
@pass_context
def watch_command(context: CliContext, run: str) -> int:
    """Print what happens to RUN, step by step, until it ends; exit as the run did."""
    from stepflow.cli.look.changes import Changes

    with context.client(starts=False) as client:
        run_id = context.run_id(client, run)
        changes, shown = Changes(), None
        try:
            while True:
                timeline = client.steps(run_id)
                status = timeline.run
                now = (status.state, status.attempt, status.worker, status.waits_for)
                # what it has done comes before what it waits for now
                is_first = context.json or status.state != "waiting"
                is_news, shown = now != shown and not status.is_finished, now
                if is_news and is_first:
                    _tell_run(timeline, context.output)
                _tell_steps(timeline, changes, context.output)
                if status.is_finished or (is_news and not is_first):
                    _tell_run(timeline, context.output)
                if status.is_finished:
                    return end_code(status)
                _until_end(client, run_id, _LOOK_S)
        except KeyboardInterrupt:
            raise goes_on(run_id) from None


def _tell_run(timeline: Timeline, output: Output) -> None:
    from stepflow.cli.look.words import clock_time, under_way

    run = timeline.run
    if output.json:
        output.data(run)
        return
    where = f" on {run.worker}" if run.worker and not run.is_finished else ""
    line = end_sentence(run) if run.is_finished else f"run {run.id} {run.state}{where}"
    doing = under_way(timeline) if run.state != "running" else []
    at = run.updated_at or run.created_at
    time = "" if at is None else f"{clock_time(at, at)}  "
    output.line(time + ": ".join([line, *(["; ".join(doing)] if doing else [])]))


def _tell_steps(timeline: Timeline, changes: Changes, output: Output) -> None:
    from stepflow.cli.look.changes import line_of

    for step in changes.of(timeline):
        if output.json:
            output.data({"run_id": timeline.run.id, "step": step})
        elif not step.is_open or step.state == "retrying":
            output.line(line_of(step))


def _until_end(client: Client, run_id: str, timeout_s: float) -> None:
    try:
        client.wait(run_id, timeout_s)
    except TimeoutError:
        return
