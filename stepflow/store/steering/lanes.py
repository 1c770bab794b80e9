"""Calls that look at the lanes of fair queues, and set their weights and windows."""

from __future__ import annotations

from typing import Any, NamedTuple

from stepflow.store.calls import Call, command, load_hash
from stepflow.store.keys import Keys


class LaneHead(NamedTuple):
    """How many runs wait in a lane, and since when the first of them does, in unix seconds."""

    waiting: int
    since: float | None


def load_lanes(keys: Keys, rq_queue: str, start: int, count: int) -> Call[list[str]]:
    """Name the lanes of an RQ queue, the next one first: *count* of them from the *start*-th."""
    return command(
        "ZRANGE", keys.lanes(rq_queue), start, start + count - 1,
        read=lambda reply: [name.decode("utf-8", "backslashreplace") for name in reply],
        misfit=list,
    )  # fmt: skip


def lane_size(keys: Keys, rq_queue: str, lane: str) -> Call[int]:
    """Count the runs that wait in a lane."""
    return command("ZCARD", keys.lane(rq_queue, lane), read=int, misfit=int)


def lane_since(keys: Keys, rq_queue: str, lane: str) -> Call[float | None]:
    """Read since when the first run of a lane waits there, in unix seconds."""

    def read(reply: Any) -> float | None:
        found = reply[0][1] if reply and isinstance(reply[0], list) else reply[1] if reply else None
        return None if found is None else float(found)

    return command(
        "ZRANGE", keys.lane(rq_queue, lane), 0, 0, "WITHSCORES", read=read, misfit=lambda: None
    )


def load_fair(keys: Keys) -> Call[dict[bytes, bytes]]:
    """Read what operators have set of fair queues: weights and windows."""
    return load_hash(keys.fair)


def save_fair(keys: Keys, field: str, value: str | None) -> Call[int]:
    """Write a weight or a window, or take it back with None."""
    if value is None:
        return command("HDEL", keys.fair, field, read=int, misfit=int)
    return command("HSET", keys.fair, field, value, read=int)
