"""`stepflow list` and `show`."""

from __future__ import annotations

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.output import Output, ago, jsonable, span, text
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
    with context.client() as client:
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
        run.step,
        run.attempt,
        run.queue,
        ago(run.created_at),
        where,
    )


@click.command("show", short_help="Show all about RUN.")
@click.argument("run")
@common_options
@pass_context
def show_command(context: CliContext, run: str) -> None:
    """Show all about RUN: its state, its input, what it waits for, how its steps ended."""
    from stepflow.engine.inspect import steps
    from stepflow.store.connection.sync import carry_out

    with context.client() as client:
        run_id = context.run_id(client, run)
        status = client.status(run_id)
        if status is None:
            raise Problem(f"run {run_id!r} is no longer kept", Exit.NOT_FOUND)
        done = carry_out(client.connection, steps(run_id, client.env))
    if context.json:
        context.output.data({**jsonable(status), "steps": done})
        return
    _print_facts(status, context.output)
    if done:
        context.output.line("")
        rows = [
            (
                step.number,
                step.attempt,
                step.outcome,
                step.worker,
                step.ended_at,
                _took(step.started_at, step.ended_at),
            )
            for step in done
        ]
        context.output.table(
            ("step", "attempt", "outcome", "worker", "ended", "took"), rows, empty=""
        )
    if status.error is not None and status.error.traceback:
        context.output.line(f"\n{status.error.traceback.rstrip()}")


def _took(start: object, end: object) -> str:
    from datetime import datetime

    return (
        span((end - start).total_seconds())
        if isinstance(start, datetime) and isinstance(end, datetime)
        else ""
    )


def _print_facts(run: RunStatus, output: Output) -> None:
    import json

    def data(value: object) -> str:
        return "" if value is None else json.dumps(jsonable(value), ensure_ascii=False)

    facts = {
        "run": run.id, "runner": run.runner, "version": run.version if run.version > 1 else None,
        "state": run.state, "unreadable": run.unreadable, "waits for": run.waits_for,
        "step": run.step, "attempt": run.attempt, "crashes": run.crashes or None,
        "generation": run.generation or None, "queue": f"{run.queue} ({run.priority})",
        "worker": None if run.is_finished else run.worker, "headers": data(run.headers or None),
        "payload": data(run.payload), "result": data(run.result),
        "error": run.error and f"{run.error.type}: {run.error.message}", "reason": run.reason,
        "created": run.created_at, "due": run.due_at, "started": run.started_at,
        "updated": run.updated_at, "ended": run.ended_at, "deadline": run.deadline_at,
    }  # fmt: skip
    for name, value in facts.items():
        if shown := text(value):
            output.line(f"{name:<11}{shown}")
