"""Which limits a run gets at its submit: those of its runner, and those that the submit names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from stepflow.core.ids import runner_key
from stepflow.core.limits.limit import Limit, use_of
from stepflow.core.limits.use import (
    LimitUse,
    check_key,
    check_limit_name,
    check_units,
    write_uses,
)
from stepflow.engine.env import Env
from stepflow.engine.spec import RunSpec
from stepflow.errors import InvalidOption, shown
from stepflow.store.limits.hash import key_of_header, load_runners


async def with_limits(
    specs: Sequence[RunSpec],
    at_hand: Mapping[str, Sequence[Limit]],
    env: Env,
) -> list[RunSpec]:
    """
    Give the specs, each with its limits.

    *at_hand* are those of the runners in the code at hand; others are read from what workers say.
    Raises InvalidName and InvalidOption for limits that cannot be.
    """
    keys = {runner_key(spec.runner, spec.version or 1) for spec in specs}
    said = (
        await load_runners(env.keys, sorted(keys - at_hand.keys())) if keys - at_hand.keys() else {}
    )
    return [replace(spec, uses=write_uses(_uses(spec, at_hand, said))) for spec in specs]


def check_mappings(spec: RunSpec) -> None:
    """Raise InvalidOption where `limits` or `units` of a submit say nothing by name."""
    said: dict[str, object] = {"limits": spec.limits, "units": spec.units}
    for what, given in said.items():
        if not isinstance(given, Mapping):
            msg = f"{what} of a submit are {shown(given)}; write {what}={{'stripe': ...}}"
            raise InvalidOption(msg)


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
    check_mappings(spec)
    for name, given in spec.limits.items():
        uses[check_limit_name(name)] = LimitUse(name, check_key(given))
    for name, units in spec.units.items():
        use = uses.get(check_limit_name(name), LimitUse(name))
        uses[name] = use._replace(units=check_units(units))
    return list(uses.values())
