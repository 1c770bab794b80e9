"""`stepflow why`: why a run is where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.look.many import for_each, runs_argument
from stepflow.cli.output import Output, jsonable, text

if TYPE_CHECKING:
    from stepflow.client import Client
    from stepflow.engine.why import Why


@click.command("why", short_help="Say why one or several RUNs are where they are.")
@runs_argument
@common_options
@pass_context
def why_command(context: CliContext, runs: tuple[str, ...]) -> int:
    """
    Say why RUN is where it is: one word, one sentence, and what you can type to move it on.

    With --json it also gives the evidence: where the run stands in Redis, and what was found there.
    """
    output, told = context.output, 0

    def tell(client: Client, run: str) -> dict[str, Any]:
        nonlocal told
        why = client.why(_run_id(context, client, run))
        if why.code == "gone.never":
            raise Problem(f"no run has the id {run!r}", Exit.NOT_FOUND)
        if not output.json:
            if told:
                output.line("")
            print_why(why, output)
        told += 1
        return document_of(why)

    return for_each(context, runs, tell)


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
    facts = {"since": why.since, "until": why.until, "moved by": why.moved_by, "tags": tags}
    for name, value in facts.items():
        if shown := text(value):
            output.line(f"  {name:<9}{shown}")
    for command in why.commands:
        output.line(f"  {'type':<9}{command}")
