"""Runs whose steps wait in the lines of limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stepflow.core.limits.use import label_of, split_label
from stepflow.core.run import Run
from stepflow.engine.why.facts import Facts, Line
from stepflow.engine.why.look import Calls, Look
from stepflow.store.keys import Keys

if TYPE_CHECKING:
    from stepflow.core.limits.values import LimitValues

#: how a record begins to say that its run waits for a limit
LIMIT = "limit "
#: limits of one run that are looked at
_MOST = 3


def read_limits(look: Look, run: Run, keys: Keys) -> Calls:
    """Read the limits that steps of a parked run wait for; most wait for none."""
    if not run.has_asks:
        return {}
    from stepflow.store.limits.asks import load_asks  # noqa: PLC0415  wanted by few
    from stepflow.store.limits.evidence import state_of_line  # noqa: PLC0415  likewise

    calls: Calls = {"asks": load_asks(keys, run.id)}
    for label in _labels(look):
        calls |= state_of_line(keys, *split_label(label), start=f"{LIMIT}{label} ")
    return calls


def read_places(look: Look, run: Run, keys: Keys) -> Calls:
    """Read where its steps stand in these lines."""
    if "asks" not in look.second:
        return {}
    from stepflow.core.limits.use import write_key  # noqa: PLC0415  wanted by few
    from stepflow.store.limits.evidence import place_in  # noqa: PLC0415  likewise

    waiting = ((step, ask.held) for step, ask in look.second["asks"].items() if ask.held)
    return {
        f"place {step}": place_in(
            keys.of_limit("line", held.name, write_key(held.key)), f"{run.id}/{step}"
        )
        for step, held in waiting
    }


def lines_of_steps(look: Look) -> Mapping[str, Line]:
    """Make of what was read how each limit stands, by what the record calls it."""
    found = {}
    for step, ask in look.second.get("asks", {}).items():
        held, position = ask.held, look.third.get(f"place {step}")
        label = "" if held is None else label_of(held.name, held.key)
        start = f"{LIMIT}{label} "
        if held is not None and f"{start}slots" in look.second and position is not None:
            read = {
                name.removeprefix(start): each
                for name, each in look.second.items()
                if name.startswith(start)
            }
            found[f"{LIMIT}{label}"] = make_line(label, held.since, position, read, step=ask.name)
    return found


def make_line(
    label: str, since: float, position: int, read: Mapping[str, Any], *, step: str = ""
) -> Line:
    """Say how a limit stands, by what was read of it."""
    values: LimitValues = read["limit"]
    interval = values.interval
    return Line(
        label, since, position, read["line_length"],
        values.concurrency if isinstance(values.concurrency, int) else None, read["slots"],
        read["holders"], interval if isinstance(interval, float) else 0.0, read["timer"] or 0.0,
        max(read["rest"], read["rest_all"]), step,
    )  # fmt: skip


def tell_limit(facts: Facts, waits_for: str) -> str:
    """Say where a step stands that waits for a limit, beside other things."""
    line = facts.lines.get(waits_for)
    if line is None or line.length <= 1:
        return f"waits in line for {waits_for}"
    return f"waits in line for {waits_for}, {line.position + 1} of {line.length:,}"


def _labels(look: Look) -> list[str]:
    names = (command.awaited_id for command in look.commands)
    found = [name.removeprefix(LIMIT) for name in names if name.startswith(LIMIT)]
    return list(dict.fromkeys(found))[:_MOST]
