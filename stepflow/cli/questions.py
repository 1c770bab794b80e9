"""`stepflow questions` and `answer`: what runs ask people, and what people say."""

from __future__ import annotations

from typing import Any

import click

from stepflow.cli.context import Setup, common_options, pass_setup
from stepflow.cli.params import JSON


@click.command("questions")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@common_options
@pass_setup
def questions_command(setup: Setup, limit: int) -> None:
    """List what runs ask people and nobody has answered yet."""
    with setup.client() as client:
        found = client.questions(limit=limit)
    if setup.json:
        setup.screen.data(list(found))
        return
    rows = [(ask.token, ask.prompt, ask.asked_at, ask.until) for ask in found]
    setup.screen.table(
        ("token", "question", "since", "until"), rows, empty="nobody is asked anything"
    )


@click.command("answer")
@click.argument("token")
@click.argument("value", type=JSON, metavar="JSON")
@common_options
@pass_setup
def answer_command(setup: Setup, token: str, value: Any) -> None:
    """Answer what is asked under TOKEN (see `questions`), once."""
    with setup.client() as client:
        client.answer(token, value)
    if setup.json:
        setup.screen.data({"token": token, "answered": True})
    else:
        setup.screen.line(f"answered {token}")
