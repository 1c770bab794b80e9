"""Which limits a run gets at its submit: those of its runner, and those that the submit names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stepflow.core.ids import runner_key
from stepflow.core.limits.limit import MOST_IN_LINE, Limit, use_of
from stepflow.core.limits.use import (
    LimitUse,
    check_key,
    check_limit_name,
    check_units,
    read_uses,
    write_uses,
)
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.errors import LimitFull
from stepflow.store.calls import batch_of
from stepflow.store.limits.hash import key_of_header, load_runners, load_values
from stepflow.store.limits.lines import line_length


async def with_limits(
    specs: Sequence[RunSpec],
    at_hand: Mapping[str, Sequence[Limit]],
    env: Env,
    *,
    has_bounds: bool = True,
) -> list[RunSpec]:
    """
    Give the specs, each with its limits.

    *at_hand* are those of the runners in the code at hand; others are read from what workers say.
    Raises InvalidName and InvalidOption for limits that cannot be, LimitFull where too many wait,
    unless *has_bounds* is False.
    """
    keys = {runner_key(spec.runner, spec.version or 1) for spec in specs}
    said = (
        await load_runners(env.keys, sorted(keys - at_hand.keys())) if keys - at_hand.keys() else {}
    )
    chosen = [replace(spec, uses=write_uses(_uses(spec, at_hand, said))) for spec in specs]
    if has_bounds:
        await _check_room(chosen, env)
    return chosen


def _uses(
    spec: RunSpec,
    at_hand: Mapping[str, Sequence[Limit]],
    said: Mapping[str, Sequence[tuple[str, str]]],
) -> list[LimitUse]:
    key, uses = runner_key(spec.runner, spec.version or 1), dict[str, LimitUse]()
    for limit in at_hand.get(key, ()):
        uses[limit.name] = use_of(limit, spec.headers)
    for name, source in said.get(key, ()):
        uses[name] = LimitUse(name, check_key(key_of_header(source, spec.headers)))
    for name, given in spec.limits.items():
        uses[check_limit_name(name)] = LimitUse(name, check_key(given))
    for name, units in spec.units.items():
        use = uses.get(check_limit_name(name), LimitUse(name))
        uses[name] = use._replace(units=check_units(units))
    return list(uses.values())


async def _check_room(specs: Sequence[RunSpec], env: Env) -> None:
    """Raise LimitFull where so many wait in line already that no more may."""
    uses = {use[:2] for spec in specs for use in read_uses(spec.uses)}
    if not uses:
        return
    named = sorted(uses)
    lengths = await batch_of([line_length(env.keys, name, key) for name, key in named])
    for (name, key), length in zip(named, lengths, strict=True):
        if length:
            values = await load_values(env.keys, name, key)
            most = values.max_line or MOST_IN_LINE
            if length >= most:
                raise LimitFull(name, key, length, most)
