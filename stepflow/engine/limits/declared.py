"""The limits that code declares: checked where it does, and written by workers at their start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from stepflow.core.limits.limit import Limit
from stepflow.core.limits.use import MOST_USES
from stepflow.engine.env import Env
from stepflow.engine.limits.turns import call_lines
from stepflow.engine.registry import Registry
from stepflow.errors import InvalidOption, shown
from stepflow.store.limits.hash import declare_limits


def check_limits(
    limits: Sequence[Limit], runner: str, known: Mapping[str, Sequence[Limit]]
) -> tuple[Limit, ...]:
    """Give the limits of *runner*; raises InvalidOption, also where one is *known* otherwise."""
    given: tuple[object, ...] = tuple(limits)
    for limit in given:
        if not isinstance(limit, Limit):
            msg = f"limits of runner {runner!r} hold {shown(limit)}; they are Limit objects"
            raise InvalidOption(msg)
    found = tuple(limits)
    if len({limit.name for limit in found}) < len(found) or len(found) > MOST_USES:
        msg = f"runner {runner!r} names a limit twice, or more than {MOST_USES}"
        raise InvalidOption(msg)
    others = {limit.name: limit for limit in chain.from_iterable(known.values())}
    for limit in found:
        if others.get(limit.name, limit).values != limit.values:
            msg = (
                f"limit {limit.name!r} is declared twice, with different bounds; make one Limit "
                "and give it to all runners that share it"
            )
            raise InvalidOption(msg)
    return found


async def announce_limits(registry: Registry, env: Env) -> None:
    """
    Write what the code at hand says of its limits, and which runners have them.

    Whoever waits in line is looked at by what they say now.
    """
    if not registry.limited:
        return
    limits = {limit.name: limit for limit in chain.from_iterable(registry.limited.values())}
    await declare_limits(
        env.keys,
        {name: limit.values for name, limit in limits.items()},
        {
            key: [(limit.name, limit.key or "") for limit in registry.limited.get(key, ())]
            for key in registry.runners
        },
    )
    for name in limits:
        await call_lines(name, env)
