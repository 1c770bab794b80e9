"""The options by which a verb takes all runs that fit some conditions, as a bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stepflow.cli.context import CliContext
from stepflow.cli.errors import Exit, Problem

if TYPE_CHECKING:
    from stepflow.engine.steering.bulk import Preview

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Many:
    """What the options said: conditions, pace, whether only to look, whether it is confirmed."""

    where: str
    rate: float | None = None
    is_dry: bool = False
    is_sure: bool = False


def where_options(command: F) -> F:
    """Add --where, --rate, --dry-run and --yes, as *many*: None without --where."""
    options = (
        click.option(
            "--where",
            metavar="CONDITIONS",
            help="All runs that fit, such as 'runner=order error~timeout older=1h'.",
        ),
        click.option("--rate", type=float, metavar="N", help="With --where: runs a second."),
        click.option("--dry-run", is_flag=True, help="With --where: only count what fits."),
        click.option("--yes", is_flag=True, help="With --where: do not ask."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def runs_or_where(command: F) -> F:
    """Add the argument RUN, any number of times, as *runs*, and the options of `where_options`."""
    return click.argument("runs", metavar="[RUN...]", nargs=-1)(where_options(command))


def many_of(runs: Sequence[str], options: dict[str, Any]) -> Many | None:
    """Take the options of `where_options` out of *options*; refuses them beside RUNs."""
    where, rate = options.pop("where"), options.pop("rate")
    is_dry, is_sure = options.pop("dry_run"), options.pop("yes")
    if where is None:
        if rate is not None or is_dry or is_sure:
            raise Problem("--rate, --dry-run and --yes go with --where", Exit.USAGE)
        if not runs:
            raise Problem("name RUNs, or give --where CONDITIONS", Exit.USAGE)
        return None
    if runs:
        raise Problem("name RUNs or give --where CONDITIONS, not both", Exit.USAGE)
    return Many(where, rate, is_dry, is_sure)


def do_to_many(context: CliContext, verb: str, many: Many, **options: Any) -> int:
    """Begin a bulk of *verb*, once somebody has seen what it concerns; or only show that."""
    from stepflow.engine.steering.bulk import RATE

    with context.client() as client:
        seen = client.preview(verb, many.where)
        if many.is_dry or not seen.count:
            _show(context, seen)
            return Exit.OK
        if not many.is_sure:
            _ask(context, verb, seen)
        begun = client.bulk(
            verb, many.where, expect=seen.count if seen.is_exact else None, by=context.user,
            rate=RATE if many.rate is None else many.rate, **options,
        )  # fmt: skip
    if context.json:
        context.output.data(begun)
    else:
        context.output.line(
            f"bulk {begun.id}: {verb} {_count(seen)} runs, {begun.rate:g} a second; "
            f"stepflow bulk show {begun.id}"
        )
    return Exit.OK


def _count(seen: Preview) -> str:
    return f"{seen.count:,}" if seen.is_exact else f"at least {seen.count:,}"


def _show(context: CliContext, seen: Preview) -> None:
    if context.json:
        context.output.data(seen)
        return
    more = " ..." if not seen.is_exact or seen.count > len(seen.examples) else ""
    such = f": {', '.join(seen.examples)}{more}" if seen.examples else ""
    context.output.line(f"{_count(seen)} runs fit{such}")


def _ask(context: CliContext, verb: str, seen: Preview) -> None:
    """Ask a person; a program has to say --yes."""
    import sys

    if not sys.stdin.isatty():
        raise Problem(
            f"{_count(seen)} runs fit; give --yes to {verb} them, or --dry-run to look", Exit.USAGE
        )
    _show(context, seen)
    if not click.confirm(f"{verb} them all?", err=True):
        raise Problem("nothing was done")
