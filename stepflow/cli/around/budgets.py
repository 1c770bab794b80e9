"""`stepflow budgets list`, `show`, `set` and `reset`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.params import limit_option
from stepflow.core.ids import whole_number
from stepflow.errors import shown

if TYPE_CHECKING:
    from stepflow.engine.budgets.info import BudgetInfo

_NAME = click.argument("name", metavar="BUDGET")


@click.group("budgets", short_help="Look at budgets, raise and reset them.")
@common_options
def budgets_command() -> None:
    """Look at budgets, raise and reset them."""


@budgets_command.command("list")
@limit_option(100)
@common_options
@pass_context
def list_command(context: CliContext, limit: int) -> None:
    """List the budgets that were used last."""
    with context.client(starts=False) as client:
        found = client.budgets.list(limit=limit)
    rows = [
        (
            each.name, each.window, _sum(each.spent.settled_usd, each.usd),
            _sum(each.spent.settled_tokens, each.tokens), each.spent.calls, each.spent.lost,
            each.waiting,
        )
        for each in found
    ]  # fmt: skip
    columns = ("budget", "of", "usd", "tokens", "calls", "lost", "waiting")
    context.output.records(found, columns, rows, empty="no budgets")


@budgets_command.command("show")
@_NAME
@common_options
@pass_context
def show_command(context: CliContext, name: str) -> None:
    """Show BUDGET: what it has, what was spent of it, and how many runs wait."""
    with context.client(starts=False) as client:
        _show(context, client.budgets.get(name))


@budgets_command.command("set")
@_NAME
@click.option("--usd", metavar="AMOUNT", help="Dollars, or `code` for what the code says.")
@click.option("--tokens", metavar="NUMBER", help="Tokens, or `code` for what the code says.")
@click.option("--note", default="", metavar="TEXT", help="Kept with the budget and shown.")
@common_options
@pass_context
def set_command(
    context: CliContext, name: str, usd: str | None, tokens: str | None, note: str
) -> None:
    """Set what BUDGET has, over what the code says; the runs that wait look again."""
    if usd is None and tokens is None:
        raise click.UsageError("say what the budget has: --usd, --tokens or both")
    with context.client() as client:
        seen = client.budgets.set(name, usd=usd, tokens=_number(tokens), note=note, by=context.user)
    _say(context, seen)


@budgets_command.command("reset")
@_NAME
@common_options
@pass_context
def reset_command(context: CliContext, name: str) -> None:
    """Set what was spent of BUDGET to 0; calls under way stay reserved."""
    with context.client() as client:
        _say(context, client.budgets.reset(name, by=context.user))


def _number(tokens: str | None) -> int | Literal["code"] | None:
    if tokens is None or tokens == "code":
        return None if tokens is None else "code"
    number = whole_number(tokens)
    if number is not None:
        return number
    raise click.BadParameter(f"{shown(tokens)} is no number of tokens, nor `code`")


def _sum(spent: Decimal | int, limit: Decimal | int | None) -> str:
    return f"{spent:,}" if limit is None else f"{spent:,} of {limit:,}"


def _say(context: CliContext, seen: BudgetInfo) -> None:
    if context.json:
        context.output.data(seen)
        return
    spent, parts = seen.spent, []
    if seen.usd is not None:
        parts.append(f"{_sum(spent.settled_usd + spent.lost_usd, seen.usd)} usd")
    if seen.tokens is not None:
        parts.append(f"{_sum(spent.settled_tokens + spent.lost_tokens, seen.tokens)} tokens")
    when = f" in {seen.window}" if seen.window else ""
    context.output.line(f"budget {seen.name}{when}: {', '.join(parts) or 'no limit'} are spent")


def _show(context: CliContext, seen: BudgetInfo) -> None:
    if context.json:
        context.output.data(seen)
        return
    spent = seen.spent
    facts = {
        "budget": seen.name, "per": seen.per, "window": seen.window,
        "when spent": seen.on_exceeded,
        "usd": _sum(spent.settled_usd, seen.usd),
        "tokens": _sum(spent.settled_tokens, seen.tokens),
        "reserved": _both(spent.reserved_usd, spent.reserved_tokens),
        "lost": _both(spent.lost_usd, spent.lost_tokens, "at most "),
        "at least": _both(spent.least_usd, spent.least_tokens),
        "calls": spent.calls, "lost calls": spent.lost or None,
        "under way": seen.under_way or None, "waiting": seen.waiting or None,
        "granted": seen.granted or None, "set by": seen.by, "note": seen.note,
    }  # fmt: skip
    context.output.facts(facts, width=12)


def _both(usd: Decimal, tokens: int, before: str = "") -> str:
    return f"{before}{usd:,f} usd, {tokens:,} tokens" if usd or tokens else ""
