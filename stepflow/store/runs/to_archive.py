"""Ends of runs that wait to be archived: notes in one sorted set, the oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stepflow.store import scripts
from stepflow.store.calls import Call, command
from stepflow.store.keys import Keys
from stepflow.store.run_hash import format_time


class Backlog(NamedTuple):
    """How many ends wait to be archived, and since when the oldest does, in unix seconds."""

    ends: int
    since: float


def ends_key(keys: Keys) -> str:
    """Name the set in which they wait."""
    return f"{keys.namespace}:to_archive"


def take_ends(keys: Keys, *, now: float, lease_s: float, limit: int) -> Call[list[bytes]]:
    """Take up to *limit* of them: for *lease_s* nobody else gets these."""
    return scripts.TAKE_ENDS.call(
        list,
        keys={"ends": ends_key(keys)},
        args={"now": format_time(now), "lease": format_time(now + lease_s), "limit": limit},
    )


def leave_end(keys: Keys, note: bytes, *, ended_at: float) -> Call[int]:
    """Leave an end to be archived. Twice is once."""
    return command("ZADD", ends_key(keys), format_time(ended_at), note, read=int)


def put_back(keys: Keys, ends: Sequence[tuple[bytes, float]]) -> Call[int]:
    """Let others have ends that were taken, each from a time on: that of its end, as a rule."""
    flat = [part for note, at in ends for part in (format_time(at), note)]
    return command("ZADD", ends_key(keys), "XX", *flat, read=int)


def forget_ends(keys: Keys, notes: Sequence[bytes]) -> Call[int]:
    """Take ends away that are archived."""
    return command("ZREM", ends_key(keys), *notes, read=int)


def count_ends(keys: Keys) -> Call[int]:
    """Count the ends that wait, also those that somebody has taken."""
    return command("ZCARD", ends_key(keys), read=int, misfit=lambda: 0)


def oldest_end(keys: Keys) -> Call[float]:
    """Say since when the oldest waits that nobody has taken; 0 where none does."""
    return command("ZRANGE", ends_key(keys), 0, 0, "WITHSCORES", read=_score, misfit=lambda: 0.0)


def count_claimed(keys: Keys) -> Call[int]:
    """Count the runs that workers have claimed: their steps are running."""
    return command("ZCARD", keys.claims, read=int, misfit=lambda: 0)


def _score(reply: list[bytes] | list[list[bytes]]) -> float:
    last = reply[-1] if reply else b"0"
    return float(last[1] if isinstance(last, list) else last)
