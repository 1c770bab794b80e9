"""
The indexes that the version before writes, for as long as some are left.

It has all runs of a runner, and those of each end, by when they were made. Lists read these as well
until they are empty, and each worker moves what stands there. Processes of that version may go on
writing to them meanwhile.
"""

from __future__ import annotations

from stepflow.core.run import ENDS, Run
from stepflow.store import scripts
from stepflow.store.calls import Call
from stepflow.store.keys import Keys


def old_expiry(keys: Keys) -> str:
    """Name its set of what expires."""
    return f"{keys.namespace}:expiry"


def old_ended_index(keys: Keys, state: str) -> str:
    """Name its index of one end."""
    return f"{keys.namespace}:idx:{state}"


def old_ended_indexes(keys: Keys) -> list[str]:
    """Name its indexes of all ends."""
    return [old_ended_index(keys, end) for end in ENDS]


def old_runner_index(keys: Keys, runner: str) -> str:
    """Name its index of a runner."""
    return f"{keys.namespace}:idx:runner:{runner}"


def old_indexes_of(keys: Keys, run: Run) -> list[str]:
    """Name those in which an ended run may stand."""
    return [old_ended_index(keys, run.state), old_runner_index(keys, run.runner)]


def move_old(keys: Keys, index: str, *, given: str, limit: int) -> Call[int]:
    """Move up to *limit* runs to where this version lists them; gives how many it looked at."""
    return scripts.MOVE_OLD.call(
        int,
        keys={"old": index, "expiry": keys.expiry, "old_expiry": old_expiry(keys)},
        args={"given": given, "ns": keys.namespace, "limit": limit},
    )
