"""`stepflow limits list`, `show`, `set`, `unset`, `reset`, `forget` and `simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from stepflow.cli.context import CliContext, common_options, pass_context
from stepflow.cli.errors import Exit, Problem
from stepflow.cli.output import ago
from stepflow.core.ids import whole_number
from stepflow.errors import LimitNotFound

if TYPE_CHECKING:
    from stepflow.engine.limits.info import LimitInfo

_LIMIT = click.argument("limit", metavar="LIMIT")


@click.group("limits", short_help="Look at limits of concurrency and rate, and set them.")
@common_options
def limits_command() -> None:
    """Look at limits and set them. LIMIT is a name, or a name with a key: stripe[acme]."""


@limits_command.command("list")
@common_options
@pass_context
def list_command(context: CliContext) -> None:
    """List the limits: what they say, how many runs are at work, how many wait."""
    with context.client(starts=False) as client:
        found = client.limits.list()
    rows = [
        (each.name, each.concurrency, _rate(each), each.slots, each.waiting, _code(each))
        for each in found
    ]
    columns = ("limit", "concurrency", "rate", "at work", "waiting", "set")
    context.output.records(found, columns, rows, empty="no limits")


def _rate(seen: LimitInfo) -> str:
    if seen.rate is None:
        return ""
    return seen.rate if (seen.burst or 1) == 1 else f"{seen.rate}, burst {seen.burst}"


def _code(seen: LimitInfo) -> str:
    said = f"in code: {seen.declared}" if seen.declared else ""
    keys = f"for keys {', '.join(seen.keys_set)}" if seen.keys_set else ""
    return "; ".join(part for part in (said, keys) if part)


@limits_command.command("show")
@_LIMIT
@common_options
@pass_context
def show_command(context: CliContext, limit: str) -> None:
    """Show LIMIT: who has its slots, the longest first, and who waits in line."""
    with context.client(starts=False) as client:
        seen = client.limits.get(limit)
    _show(context, seen)


def _show(context: CliContext, seen: LimitInfo) -> None:
    if context.json:
        context.output.data(seen)
        return
    facts: dict[str, Any] = {
        "limit": seen.name, "key": seen.key, "concurrency": seen.concurrency, "rate": _rate(seen),
        "scope": seen.scope, "max line": seen.max_line, "max wait": seen.max_wait,
        "set": _code(seen), "at work": seen.slots, "waiting": seen.waiting,
        "keys": ", ".join(each or "(none)" for each in seen.keys), "next": ", ".join(seen.next),
        "rests until": seen.rests_until, "begins at": seen.next_at,
    }  # fmt: skip
    context.output.facts(facts, width=13)
    for holder in seen.holders:
        who = f"step {holder.step!r} of {holder.run_id}" if holder.step else holder.run_id
        context.output.line(f"{'':<13}{who} has a slot for {ago(holder.since)}")


@limits_command.command("set")
@_LIMIT
@click.option("--concurrency", metavar="N|none", help="Runs at work at once.")
@click.option("--rate", metavar="RATE", help="Runs that begin per time, like 100/min, or none.")
@click.option("--burst", type=int, help="Of them so many at once.")
@click.option("--max-line", type=int, help="Runs that may wait in line for one key.")
@click.option("--max-wait", metavar="SECONDS|none", help="After so long in line a run fails.")
@common_options
@pass_context
def set_command(context: CliContext, /, limit: str, **given: Any) -> None:
    """Have bounds count instead of what the code says, also after a deploy."""
    bounds = {name: _number(value) for name, value in given.items() if value is not None}
    with context.client() as client:
        seen = client.limits.set(limit, by=context.user, **bounds)
    _show(context, seen)


def _number(value: Any) -> Any:
    """Read what is written as a number as one; the verb refuses the rest in words."""
    if not isinstance(value, str):
        return value
    if "." in value and value.isascii() and value.replace(".", "", 1).isdigit():
        return float(value)
    number = whole_number(value)
    return value if number is None else number


@limits_command.command("unset")
@_LIMIT
@common_options
@pass_context
def unset_command(context: CliContext, limit: str) -> None:
    """Have what the code says count again."""
    with context.client() as client:
        changed = client.limits.unset(limit, by=context.user)
    _say(context, limit, "says what the code says" if changed else "was not set", changed=changed)


@limits_command.command("reset")
@_LIMIT
@common_options
@pass_context
def reset_command(context: CliContext, limit: str) -> None:
    """Forget what has begun by the rate, and that the limit rests."""
    with context.client() as client:
        keys = client.limits.reset(limit, by=context.user)
    _say(context, limit, f"begins anew ({keys} keys)", changed=bool(keys))


@limits_command.command("forget")
@_LIMIT
@common_options
@pass_context
def forget_command(context: CliContext, limit: str) -> None:
    """Forget a LIMIT that no code declares any more."""
    with context.client() as client:
        forgotten = client.limits.forget(limit, by=context.user)
    if not forgotten:
        raise Problem(str(LimitNotFound(limit)), Exit.NOT_FOUND)
    _say(context, limit, "is forgotten", changed=True)


def _say(context: CliContext, limit: str, words: str, *, changed: bool) -> None:
    context.output.said({"limit": limit, "changed": changed}, f"limit {limit} {words}")


@limits_command.command("simulate")
@click.option("--concurrency", type=int, help="Runs at work at once.")
@click.option("--rate", metavar="RATE", help="Runs that begin per time, like 100/min.")
@click.option("--burst", type=int, default=1, show_default=True, help="Of them so many at once.")
@click.option("--runs", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option(
    "--every", type=float, default=0.0, show_default=True, help="Seconds between submits."
)
@click.option(
    "--takes", type=float, default=1.0, show_default=True, help="Seconds of work of each."
)
@common_options
@pass_context
def simulate_command(
    context: CliContext,
    concurrency: int | None,
    rate: str | None,
    burst: int,
    runs: int,
    every: float,
    takes: float,
) -> None:
    """Say when runs would begin under a limit; asks no Redis."""
    from stepflow.core.limits.limit import Limit
    from stepflow.core.limits.simulate import simulate

    limit = Limit("simulated", concurrency=concurrency, rate=rate, burst=burst)
    found = simulate(limit, [number * every for number in range(runs)], takes)
    if context.json:
        context.output.data([each._asdict() for each in found])
        return
    rows = [
        (number, f"{each.came:.3f}", f"{each.began:.3f}", f"{each.began - each.came:.3f}")
        for number, each in enumerate(found)
    ]
    context.output.table(("run", "came", "begins", "waited"), rows, empty="no runs")
