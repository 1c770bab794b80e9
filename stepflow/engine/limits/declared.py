"""The limits that code declares, as workers write them at their start."""

from __future__ import annotations

from itertools import chain

from stepflow.core.limits.limit import values_of
from stepflow.engine.env import Env
from stepflow.engine.limits.turns import call_lines
from stepflow.engine.registry import Registry
from stepflow.store.limits.hash import declare_limits


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
        {name: values_of(limit) for name, limit in limits.items()},
        {
            key: [(limit.name, limit.key or "") for limit in registry.limited.get(key, ())]
            for key in registry.runners
        },
    )
    for name in limits:
        await call_lines(name, env)
