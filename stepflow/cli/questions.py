"""`stepflow questions` and `answer`: what runs ask people, and what people answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.params import JSON, limit_option
from stepflow.errors import QuestionNotFound, StepflowError

if TYPE_CHECKING:
    from stepflow.client import Client


@click.command("questions", short_help="List the open questions that runs ask people.")
@limit_option(50)
@common_options
@pass_context
def questions_command(context: CliContext, limit: int) -> None:
    """List the open questions that runs ask people."""
    with context.client(starts=False) as client:
        found = client.questions(limit=limit)
    if context.json:
        context.output.data(list(found))
        return
    rows = [(each.token, each.prompt, each.asked_at, each.until) for each in found]
    context.output.table(("token", "question", "since", "until"), rows, empty="no open questions")


@click.command("answer", short_help="Answer a question.")
@click.argument("token")
@click.argument("value", type=JSON, metavar="JSON")
@common_options
@pass_context
def answer_command(context: CliContext, token: str, value: Any) -> None:
    """Answer the question TOKEN, which `stepflow questions` lists. It takes one answer."""
    with context.client() as client:
        try:
            client.answer(token, value)
        except QuestionNotFound as error:
            raise _of_a_run(token, client) or error from None
    context.output.said({"token": token, "answered": True}, f"answered {token}")


def _of_a_run(name: str, client: Client) -> Problem | None:
    """Say which questions the run of that *name* asks; None where there are none."""
    try:
        asked = client.questions_of(name)
    except StepflowError:
        return None
    tokens = ", ".join(f"{each.token} ({each.prompt!r:.80})" for each in asked)
    told = f"{name!r} is a run, not a question; it asks {tokens}"
    return Problem(told, Exit.NOT_FOUND) if asked else None
