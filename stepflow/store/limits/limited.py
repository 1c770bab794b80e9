"""What scripts are given for the limits of a run, whose slots they give back."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.core.run import Run
from stepflow.store.calls import Part
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time


def lines_of(keys: Keys, run: Run) -> Sequence[str]:
    """Name the lines of those who wait for what *run* has; none for a run without limits."""
    if not run.limits:
        return ()
    uses = [line.split("|") for line in run.limits.splitlines()]
    return [keys.of_limit("line", name, key) for name, key, _ in uses]


def limited(keys: Keys, run: Run, now: float, *, has_ended: bool = False) -> Sequence[Part]:
    """Give what `give_back` in lua/lib/limits/admit.lua takes; nothing for a run without limits."""
    if not run.limits:
        return ()
    return (
        run.id, run.limits, keys.namespace, keys.job_prefix, format_time(now), int(has_ended)
    )  # fmt: skip
