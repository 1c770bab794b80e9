"""`stepflow show`: all about a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.look.many import for_each, runs_argument
from stepflow.cli.output import Output, jsonable, text
from stepflow.core.run import RunStatus

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.engine.timeline import StepStatus, Timeline
    from stepflow.engine.why import Why

#: steps that are shown unless all are asked for: the last ones
_SHOWN = 100
_COLUMNS = ("kind", "name", "state", "attempt", "started", "took", "detail")
_RUNNERS_COLUMNS = ("step", "state", "attempt", "started", "took", "worker", "detail")


@click.command("show", short_help="Show all about one or several RUNs.")
@runs_argument
@click.option("--vars", "with_vars", is_flag=True, help="The variables of the run, too.")
@click.option("--all", "everything", is_flag=True, help="Every step, also uses of variables.")
@common_options
@pass_context
def show_command(
    context: CliContext, runs: tuple[str, ...], with_vars: bool, everything: bool
) -> int:
    """Show all about RUN: its state, its input, what it waits for, how its steps ended."""
    output, shown = context.output, 0

    def show(client: Client, run: str) -> dict[str, Any]:
        nonlocal shown
        timeline = client.steps(context.run_id(client, run))
        why = None if timeline.run.is_finished else _why(client, timeline.run.id)
        variables = client.vars(timeline.run.id) if with_vars else None
        if not output.json:
            if shown:
                output.line("")
            _print_facts(timeline, why, output)
            _print_steps(timeline, output, everything=everything)
            _print_vars(variables, output)
            _print_errors(timeline, output)
        shown += 1
        more = {} if variables is None else {"vars": variables}
        return {**document_of(timeline, why), **more}

    return for_each(context, runs, show, starts=False)


def _why(client: Client, run_id: str) -> Why | None:
    """Say why a run stands; nothing to a user who may show it and not look any closer."""
    from stepflow.errors import RedisRefused

    try:
        return client.why(run_id)
    except RedisRefused:
        return None


def document_of(timeline: Timeline, why: Why | None) -> dict[str, Any]:
    """Give all about a run as JSON carries it: its status, why it stands there, and its steps."""
    whole = jsonable(timeline)
    return {
        **whole["run"], "why": jsonable(why), "restarts": whole["restarts"],
        "steps": whole["steps"],
    }  # fmt: skip


def _print_facts(timeline: Timeline, why: Why | None, output: Output) -> None:
    from stepflow.cli.look.words import under_way

    def data(value: object) -> str:
        return "" if value is None else json.dumps(jsonable(value), ensure_ascii=False)

    run = timeline.run
    first, *rest = under_way(timeline) or [""]
    count = {"activation": run.step} if timeline.is_workflow else {"step": run.step}
    facts: dict[str, object] = {
        "run": run.id, "runner": run.runner, "version": run.version if run.version > 1 else None,
        "state": run.state, "at": _state(timeline), "unreadable": run.unreadable,
        "why": why and str(why), "now": first,
        "waits for": _waits_for(run, timeline), "parent": run.parent, "group": run.group,
        **count, "attempt": run.attempt if run.attempt > 1 or not timeline.is_workflow else None,
        "crashes": run.crashes or None,
        "restarts": timeline.restarts or None,
        "generation": run.generation or None, "queue": f"{run.queue} ({run.priority})",
        "worker": None if run.is_finished else run.worker, "headers": data(run.headers or None),
        "tags": " ".join(f"{key}={value}" for key, value in run.tags.items()),
        "payload": data(run.payload), "result": data(run.result),
        "error": run.error and f"{run.error.type}: {run.error.message}", "reason": run.reason,
        "created": run.created_at, "due": run.due_at, "started": run.started_at,
        "updated": run.updated_at, "ended": run.ended_at, "deadline": run.deadline_at,
    }  # fmt: skip
    for name, value in facts.items():
        if shown := text(value):
            output.line(f"{name:<11}{shown}")
        if name == "now":
            for line in rest:
                output.line(f"{'':<11}{line}")


def _state(timeline: Timeline) -> str | None:
    """Say which state a machine is in, and since when."""
    from stepflow.cli.look.words import when

    at = timeline.entered
    if at is None or at.started_at is None:
        return None if at is None else at.name
    return f"{at.name} since {when(at.started_at, datetime.now(UTC))}"


def _waits_for(run: RunStatus, timeline: Timeline) -> str | None:
    """Give what a run waits for that is no step of it: a worker, somebody to resume it."""
    return None if timeline.is_workflow else run.waits_for


def _print_steps(timeline: Timeline, output: Output, *, everything: bool) -> None:
    from stepflow.cli.look.words import shown_steps

    steps = [step for step in shown_steps(timeline, everything=everything) if step.name]
    if not timeline.is_workflow and not timeline.run.is_finished:
        steps = [step for step in steps if not step.is_open]
    if not steps:
        return
    output.line("")
    kept = steps if everything else steps[-_SHOWN:]
    now = datetime.now(UTC)
    rows = [_row(step, now) for step in kept]
    output.table(_COLUMNS if timeline.is_workflow else _RUNNERS_COLUMNS, rows, empty="")
    if len(kept) < len(steps):
        output.note(f"{len(steps) - len(kept)} earlier steps are not shown: --all shows them")


def _row(step: StepStatus, now: datetime) -> tuple[object, ...]:
    from stepflow.cli.look.words import detail, length

    took = "" if step.took_s is None else length(step.took_s)
    facts = (step.state, step.attempt, step.started_at, took)
    if step.number is not None:
        return (step.number, *facts, step.worker, detail(step, now))
    return (step.kind, step.name, *facts, detail(step, now))


def _print_vars(variables: dict[str, Any] | None, output: Output) -> None:
    if variables is None:
        return
    output.line("")
    rows = [
        (name, json.dumps(jsonable(value), ensure_ascii=False)) for name, value in variables.items()
    ]
    output.table(("variable", "value"), rows, empty="it has no variables")


def _print_errors(timeline: Timeline, output: Output) -> None:
    """Print the tracebacks: of the step that failed last, then of the run itself."""
    failed = [step for step in timeline if step.error is not None and step.error.traceback]
    run = timeline.run
    traces = []
    if timeline.is_workflow and failed and failed[-1].error is not None:
        step, error = failed[-1], failed[-1].error
        traces.append((f"{step.kind} {step.name!r} failed, attempt {step.attempt}:", error))
    if run.error is not None and run.error.traceback:
        traces.append((f"run {run.id} failed:", run.error))
    for head, error in traces:
        output.line(f"\n{head}\n{error.traceback.rstrip()}")
