"""`stepflow breakers list`, `show`, `open`, `close` and `reset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.output import text
from stepflow.cli.params import DURATION, limit_option

if TYPE_CHECKING:
    from stepflow.engine.breakers.info import BreakerInfo

_NAME = click.argument("name", metavar="BREAKER")


@click.group("breakers", short_help="Look at circuit breakers, open and close them.")
@common_options
def breakers_command() -> None:
    """Look at circuit breakers, open and close them."""


@breakers_command.command("list")
@limit_option(1000)
@common_options
@pass_context
def list_command(context: CliContext, limit: int) -> None:
    """List the breakers that steps have asked for in the last week."""
    with context.client(starts=False) as client:
        found = client.breakers.list(limit=limit)
    rows = [
        (each.name, each.state, each.why, each.until, each.waiting, each.refused, each.opened)
        for each in found
    ]
    columns = ("breaker", "state", "why", "until", "waiting", "refused", "opened")
    context.output.records(found, columns, rows, empty="no breakers")


@breakers_command.command("show")
@_NAME
@common_options
@pass_context
def show_command(context: CliContext, name: str) -> None:
    """Show BREAKER: its state, why, and how many runs wait for it."""
    with context.client(starts=False) as client:
        _show(context, client.breakers.get(name))


@breakers_command.command("open")
@_NAME
@click.option(
    "--for", "for_s", type=DURATION, help="How long, such as 10m; until it is closed by default."
)
@click.option("--note", default="", metavar="TEXT", help="Kept with the breaker and shown.")
@common_options
@pass_context
def open_command(context: CliContext, name: str, for_s: float | None, note: str) -> None:
    """Have BREAKER let no call through: steps that have it wait."""
    with context.client() as client:
        _say(context, client.breakers.open(name, for_s, note=note, by=context.user))


@breakers_command.command("close")
@_NAME
@common_options
@pass_context
def close_command(context: CliContext, name: str) -> None:
    """Have BREAKER let calls through; the runs that wait come back by and by."""
    with context.client() as client:
        _say(context, client.breakers.close(name, by=context.user))


@breakers_command.command("reset")
@_NAME
@common_options
@pass_context
def reset_command(context: CliContext, name: str) -> None:
    """Close BREAKER and set its counts to 0."""
    with context.client() as client:
        _say(context, client.breakers.reset(name, by=context.user))


def _say(context: CliContext, seen: BreakerInfo) -> None:
    if context.json:
        context.output.data(seen)
        return
    waiting = f"; {seen.waiting} runs wait for it" if seen.waiting else ""
    until = f" until {text(seen.until)}" if seen.until else ""
    context.output.line(f"breaker {seen.name} is {seen.state}{until}{waiting}")


def _show(context: CliContext, seen: BreakerInfo) -> None:
    if context.json:
        context.output.data(seen)
        return
    facts = {
        "breaker": seen.name, "state": seen.state, "why": seen.why, "since": seen.since,
        "until": seen.until, "failures": seen.failures or None, "error": seen.error,
        "rule": seen.rule, "waiting": seen.waiting or None, "trials": seen.trials or None,
        "refused": seen.refused, "opened": seen.opened, "closed": seen.closed,
    }  # fmt: skip
    context.output.facts(facts, width=10)
