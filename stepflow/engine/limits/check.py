"""The limits that code declares for a runner, checked where it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from stepflow.core.limits.limit import Limit, values_of
from stepflow.core.limits.use import MOST_USES
from stepflow.errors import InvalidOption, shown


def check_limits(
    limits: Sequence[Limit], runner: str, known: Mapping[str, Sequence[Limit]]
) -> tuple[Limit, ...]:
    """Give the limits of *runner*; raises InvalidOption, also where one is *known* otherwise."""
    listed: object = limits
    if not isinstance(listed, list | tuple):
        msg = f"limits of runner {runner!r} are {shown(listed)}; write limits=[Limit(...)]"
        raise InvalidOption(msg)
    given: tuple[object, ...] = tuple(listed)
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
        if values_of(others.get(limit.name, limit)) != values_of(limit):
            msg = (
                f"limit {limit.name!r} is declared twice, with different bounds; make one Limit "
                "and give it to all runners that share it"
            )
            raise InvalidOption(msg)
    return found
