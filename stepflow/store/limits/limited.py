"""What scripts are given for the limits of a run, whose slots they give back."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from stepflow.core.outcomes import Resting
from stepflow.core.run import Run
from stepflow.store.calls import Part
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time, rq_time

#: what a key may have as it is; core/limits/use.py has the same
SAFE = "_.:@-"


def lines_of(keys: Keys, run: Run) -> Sequence[str]:
    """Name the lines of those who wait for what *run* has; none for a run without limits."""
    if not run.limits:
        return ()
    uses = [line.split("|") for line in run.limits.splitlines()]
    return [keys.of_limit("line", name, key) for name, key, _ in uses]


def limited(
    keys: Keys,
    run: Run,
    now: float,
    *,
    has_ended: bool = False,
    restarts: int = 0,
    rests: Resting | None = None,
) -> Sequence[Part]:
    """
    Give what `give_back` in lua/lib/limits/admit.lua takes; nothing for a run without limits.

    With *restarts* above 0 its steps wait no longer. *rests* is a limit that is to rest.
    """
    if not (run.limits or run.has_asks) and rests is None:
        return ()
    given: list[Part] = [
        run.id, run.limits, keys.namespace, keys.job_prefix, format_time(now), rq_time(now),
        int(has_ended), _of_steps(run, waits=has_ended or restarts > 0),
    ]  # fmt: skip
    if rests is not None:
        given += (rests.limit, quote(rests.key or "", safe=SAFE), format_time(rests.until))
    return given


def _of_steps(run: Run, *, waits: bool) -> str:
    """Say what its steps give back: what they have, and with *waits* their places in line."""
    if not run.has_asks:
        return ""
    return "all" if waits else "had"


def first_in_line(run: Run, rests: Resting | None) -> Sequence[Part]:
    """Have a run stand before all others in the line of a limit of its own that rests."""
    if rests is None:
        return ()
    for name, key, _ in (line.split("|") for line in run.limits.splitlines()):
        if name == rests.limit and (rests.key is None or quote(rests.key, safe=SAFE) == key):
            return ("held", f"{name}|{key}|{format_time(run.started_at or run.created_at)}")
    return ()
