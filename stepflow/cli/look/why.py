"""`stepflow why`: why a run is where it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.many import for_each, runs_argument
from stepflow.cli.output import Output, ago, jsonable, text

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.engine.why import Why
    from stepflow.engine.why.now import Now


@click.command("why", short_help="Say why RUNs, or a schedule, are where they are.")
@runs_argument
@click.option("--now", "is_now", is_flag=True, help="Ask its worker what it is doing right now.")
@common_options
@pass_context
def why_command(context: CliContext, runs: tuple[str, ...], *, is_now: bool) -> int:
    """
    Say why RUN is where it is: one word, one sentence, and what you can type to move it on.

    With --json it also gives the evidence: where the run stands in Redis, and what was found there.
    With --now the worker that is running it says which steps are in progress, and where their code
    is. RUN may also be a schedule.
    """
    output, told = context.output, 0

    def tell(client: Client, run: str) -> dict[str, Any]:
        nonlocal told
        # before runs whose ids begin like that: those of a schedule do
        found = None if _is_run(client, run) else _of_schedule(client, run, output)
        if found is not None:
            return found
        why = client.why(_run_id(context, client, run))
        if why.code == "gone.never":
            raise Problem(f"no run has the id {run!r}", Exit.NOT_FOUND)
        now = ask_now(client, why.run_id) if is_now else None
        if not output.json:
            if told:
                output.line("")
            print_why(why, output)
            if now is not None:
                print_now(now, output)
        told += 1
        return document_of(why) | ({} if now is None else {"now": document_of_now(now)})

    return for_each(context, runs, tell)


def _is_run(client: Client, run: str) -> bool:
    from stepflow.errors import InvalidRunId

    try:
        return client.status(run) is not None
    except InvalidRunId:  # names of schedules may have more signs
        return False


def _of_schedule(client: Client, name: str, output: Output) -> dict[str, Any] | None:
    """Tell of the schedule of that name; None where there is none."""
    from stepflow.errors import InvalidName, ScheduleNotFound

    try:
        why = client.schedules.why(name)
    except (ScheduleNotFound, InvalidName):
        return None
    if not output.json:
        output.line(f"schedule {why.schedule} is {why.state}: {why.sentence}")
        if why.until is not None:
            output.line(f"  {'next':<9}{text(why.until)}")
        for command in why.commands:
            output.line(f"  {'type':<11}{command}")
    document: dict[str, Any] = jsonable(why)
    return document


def ask_now(client: Client, run_id: str) -> Now | str:
    """Ask the worker of a run what it is doing; says in words why there is no answer."""
    from stepflow.errors import NotRunning, RunNotFound, WorkerSilent

    try:
        return client.now(run_id)
    except RunNotFound:
        return "its record has expired"
    except NotRunning:
        return "no worker is running it"
    except WorkerSilent as error:
        return str(error)


def document_of_now(now: Now | str) -> dict[str, Any]:
    """Give what a worker is doing as JSON carries it, or why nobody said."""
    return {"problem": now} if isinstance(now, str) else jsonable(now)


def print_now(now: Now | str, output: Output) -> None:
    """Print what a worker is doing, for people."""
    if isinstance(now, str):
        output.line(f"  now        {now}")
        return
    output.line(f"  now        worker {now.worker} says:")
    for step in now.steps:
        where = ", in a thread" if step.in_thread else ""
        since = f", for {ago(step.since)}" if step.since else ""
        output.line(f"    step {step.name!r}, attempt {step.attempt}{since}{where}")
        _print_stack(step.stack, output)
    if now.more:
        output.line(f"    and {now.more} more")
    if not now.steps:
        output.line("    none of its steps is in progress at this moment")
    if now.blocked is not None:
        whose = f" by code of run {now.blocked.run_id}" if now.blocked.run_id else ""
        since = f" for {ago(now.blocked.since)}" if now.blocked.since else ""
        output.line(f"    its event loop is blocked{whose}{since}")
        _print_stack(now.blocked.stack, output)


def _print_stack(stack: Sequence[str], output: Output) -> None:
    for line in stack:
        output.line(f"      {line}")


def _run_id(context: CliContext, client: Client, run: str) -> str:
    """Return the id of the run that *run* is or begins; itself for one that is not kept."""
    from stepflow.errors import RunNotFound

    try:
        return context.run_id(client, run)
    except RunNotFound:
        return run


def document_of(why: Why) -> dict[str, Any]:
    """Give an explanation as JSON carries it."""
    whole: dict[str, Any] = jsonable(why)
    return whole


def print_why(why: Why, output: Output) -> None:
    """Print an explanation for people."""
    output.line(f"run {why.run_id} is {why.word} ({why.code}): {why.sentence}")
    tags = " ".join(f"{key}={value}" for key, value in why.evidence.get("tags", {}).items())
    facts = {"since": why.since, "until": why.until, "depends on": why.moved_by, "tags": tags}
    for name, value in facts.items():
        if shown := text(value):
            output.line(f"  {name:<11}{shown}")
    for command in why.commands:
        output.line(f"  {'type':<11}{command}")
