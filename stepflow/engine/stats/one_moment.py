"""Counts as they stood at one moment, read without a script: viewers may call none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stepflow.engine.env import Env
from stepflow.engine.stats.tally import Written
from stepflow.store.calls import batch_of
from stepflow.store.counting.counts import load_counts

#: readings before one is taken as it is: a worker adds once a second, and a reading takes about a
#: millisecond
_MOST_READINGS = 20


class CountsRead(NamedTuple):
    """Hashes of counts, the totals, and what no worker has taken into any of them yet."""

    found: Sequence[Written]
    totals: Written
    new: Written


async def read_at_one_moment(keys: Sequence[str], env: Env) -> CountsRead:
    """
    Read the hashes of *keys*, the totals, and what is new.

    A worker that takes what is new into the others meanwhile would have it counted in neither or
    in both. Totals only grow: where they are the same before and after, none did.
    """
    names = [env.keys.totals, *keys, env.keys.new_counts, env.keys.totals]
    for _ in range(_MOST_READINGS):
        totals, *found, new, after = await batch_of([load_counts(name) for name in names])
        if totals == after:
            break
    return CountsRead(found, totals, new)
