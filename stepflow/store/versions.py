"""
Calls for which versions of workflows workers hold.

A set that each worker says again in every round.
"""

from __future__ import annotations

from collections.abc import Sequence

from stepflow.store.calls import Call, Part, command
from stepflow.store.keys import Keys
from stepflow.store.query import newest
from stepflow.store.run_hash import format_time

#: versions read at once: the most recently said ones of all workflows of a name space
_READ = 10_000


def say_versions(keys: Keys, held: Sequence[str], at: float) -> Call[int]:
    """Say that a worker holds these runner keys (`name`, `name@2`), at a time in unix seconds."""
    scored: list[Part] = [part for key in held for part in (format_time(at), key)]
    return command("ZADD", keys.versions, *scored, read=int)


def load_versions(keys: Keys) -> Call[list[tuple[str, float]]]:
    """Read each runner key that workers hold or held, and when one said so last."""
    return newest(keys.versions, before=None, count=_READ)


def forget_versions(keys: Keys, before: float) -> Call[int]:
    """Forget what no worker has said since *before*."""
    return command("ZREMRANGEBYSCORE", keys.versions, "-inf", format_time(before), read=int)
