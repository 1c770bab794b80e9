"""Calls that read: listings by the indexes, a page at a time."""

from __future__ import annotations

from typing import Any

from stepflow.store.calls import Call, command
from stepflow.store.keys import Keys


def _pairs(reply: Any) -> list[tuple[str, float]]:
    if reply and isinstance(reply[0], list | tuple):
        return [(member.decode(), float(score)) for member, score in reply]
    items = iter(reply)
    return [(member.decode(), float(score)) for member, score in zip(items, items, strict=True)]


def newest(index: str, *, before: float | None, count: int, offset: int = 0) -> Call[list[tuple[str, float]]]:
    """Read *count* (member, score) of an index, highest score first, from score *before* down (inclusive)."""
    top = "+inf" if before is None else f"{before:.6f}"
    return command("ZREVRANGEBYSCORE", index, top, "-inf", "WITHSCORES", "LIMIT", offset, count, read=_pairs)


def index_size(index: str) -> Call[int]:
    """Count the members of an index."""
    return command("ZCARD", index, read=int)


def queue_length(rq_queue: str) -> Call[int]:
    """Count the entries of an RQ queue."""
    return command("LLEN", Keys.rq_list(rq_queue), read=int)


def oldest_pending(keys: Keys, rq_queue: str) -> Call[float | None]:
    """Read since when the first entry of a queue waits, in unix seconds."""
    return command(
        "ZRANGE", keys.pending(rq_queue), 0, 0, "WITHSCORES", read=lambda reply: _pairs(reply)[0][1] if reply else None
    )


def members(key: str) -> Call[list[str]]:
    """Read a set."""
    return command("SMEMBERS", key, read=lambda reply: sorted(item.decode() for item in reply))


def by_prefix(index: str, prefix: str) -> Call[list[str]]:
    """Read at most two members of an index by scanning for a prefix: enough to tell a unique one."""
    return command("ZSCAN", index, 0, "MATCH", f"{prefix}*", "COUNT", 10_000, read=_scanned)


def _scanned(reply: Any) -> list[str]:
    items = reply[1]
    if items and isinstance(items[0], list | tuple):
        return [member.decode() for member, _ in items]
    return [member.decode() for member in items[::2]]
