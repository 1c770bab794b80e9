"""Where a run stands in the indexes, while it lives and once it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from stepflow.core.run import Run
from stepflow.store.keys import LIVE, Keys


@lru_cache(maxsize=1024)
def places(keys: Keys, runner: str, end: str) -> Mapping[str, str]:
    """Name the indexes between which a run of *runner* moves with that end, as scripts do."""
    return {
        "live": keys.live,
        "live_of": keys.runner_index(LIVE, runner),
        "ended": keys.ended_index(end),
        "ended_of": keys.runner_index(end, runner),
        "expiry": keys.expiry,
    }


def expiry_member(run: Run, tags: str = "") -> str:
    """
    Name an ended run as the set of what expires holds it.

    Scripts add its *tags*, one a line, themselves.
    """
    member = f"{run.state}|{run.runner}|{run.id}"
    return f"{member}|{tags}" if tags else member
