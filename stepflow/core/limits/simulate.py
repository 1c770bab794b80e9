"""What a limit would make of runs that come at given times: the rules, without Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stepflow.core.limits.limit import Limit, values_of


class Simulated(NamedTuple):
    """One run: when it came, began and ended, in seconds."""

    came: float
    began: float
    ended: float


def simulate(limit: Limit, arrivals: Sequence[float], work_s: float) -> list[Simulated]:
    """
    Say when runs of one key begin that come at *arrivals* and are at work for *work_s* seconds.

    Each begins as soon as a slot is free and the rate allows it, first in first out.
    """
    values, ends, tat = values_of(limit), list[float](), float("-inf")
    most = values.concurrency if isinstance(values.concurrency, int) else None
    interval = values.interval if isinstance(values.interval, float) else 0.0
    spare, last, found = ((values.burst or 1) - 1) * interval, 0.0, []
    for came in sorted(arrivals):
        at = max(came, last, tat - spare)
        if most is not None and len(ends) >= most:
            at = max(at, sorted(ends)[len(ends) - most])
        tat = max(tat, at) + interval
        last = at
        ends.append(at + work_s)
        found.append(Simulated(came, at, at + work_s))
    return found
