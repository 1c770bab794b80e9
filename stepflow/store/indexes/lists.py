"""What the indexes of runs are called."""

from __future__ import annotations

from stepflow.core.run import ENDS
from stepflow.store.indexes.old import old_ended_indexes
from stepflow.store.keys import Keys


def all_runs(keys: Keys) -> list[str]:
    """Name the indexes that together hold every kept run."""
    return [keys.live, *(keys.ended_index(end) for end in ENDS), *old_ended_indexes(keys)]


def is_of_runs(key: str, keys: Keys) -> bool:
    """Say whether a key is an index of runs, the set of what expires left out."""
    return key.startswith(f"{keys.namespace}:idx:") and key != keys.expiry
