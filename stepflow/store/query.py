"""
Calls that list: runs by the indexes a page at a time, queues, workers and their workflows.

Those of workers also write, what they say of themselves and what RQ keeps of the dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from stepflow.store.calls import Call, Part, batch, command, load_hash
from stepflow.store.keys import RQ_WORKER, RQ_WORKERS, Keys
from stepflow.store.run_hash import format_time

#: versions read at once: the most recently said ones of all workflows of a name space
_VERSIONS_READ = 10_000


def _pairs(reply: Any) -> list[tuple[str, float]]:
    if reply and isinstance(reply[0], list | tuple):
        return [(_name(member), float(score)) for member, score in reply]
    items = iter(reply)
    return [(_name(member), float(score)) for member, score in zip(items, items, strict=True)]


def _name(member: bytes) -> str:
    """Give a member as text: one of other bytes names nothing that there is."""
    return member.decode("utf-8", "backslashreplace")


def _name_or_none(member: bytes | None) -> str:
    return "" if member is None else _name(member)


def newest(
    index: str,
    *,
    before: float | None,
    count: int,
    offset: int = 0,
    since: float | None = None,
) -> Call[list[tuple[str, float]]]:
    """
    Read a page of (member, score) of an index, the highest score first.

    At most *count*, after skipping *offset*, of those with a score up to *before* and from *since*
    on, both included.
    """
    top = "+inf" if before is None else f"{before:.6f}"
    lowest = "-inf" if since is None else f"{since:.6f}"
    return command(
        "ZREVRANGEBYSCORE",
        index,
        top,
        lowest,
        "WITHSCORES",
        "LIMIT",
        offset,
        count,
        read=_pairs,
        misfit=list,
    )


def oldest(index: str, *, since: float, count: int) -> Call[list[tuple[str, float]]]:
    """Read (member, score) of an index from a score on, that included, the lowest score first."""
    return command(
        "ZRANGE",
        index,
        f"{since:.6f}",
        "+inf",
        "BYSCORE",
        "LIMIT",
        0,
        count,
        "WITHSCORES",
        read=_pairs,
        misfit=list,
    )


def members_until(index: str, score: float) -> Call[list[str]]:
    """Read the members of an index up to a score, that included."""
    return command(
        "ZRANGE", index, "-inf", f"{score:.6f}", "BYSCORE",
        read=lambda reply: list(map(_name, reply)), misfit=list,
    )  # fmt: skip


def earliest(index: str) -> Call[float | None]:
    """Read the lowest score of an index; None when it is empty."""
    return command(
        "ZRANGE",
        index,
        0,
        0,
        "WITHSCORES",
        read=lambda reply: _pairs(reply)[0][1] if reply else None,
    )


def index_size(index: str) -> Call[int]:
    """Count the members of an index; a key of another type holds none."""
    return command("ZCARD", index, read=int, misfit=int)


def queue_length(rq_queue: str) -> Call[int]:
    """Count the entries of an RQ queue."""
    return list_length(Keys.rq_list(rq_queue))


def list_length(key: str) -> Call[int]:
    """Count the items of a list; a key of another type holds none."""
    return command("LLEN", key, read=int, misfit=int)


def oldest_pending(keys: Keys, rq_queue: str) -> Call[float | None]:
    """Read since when the first entry of a queue waits, in unix seconds."""
    return command(
        "ZRANGE", keys.queued_at(rq_queue), 0, 0, "WITHSCORES",
        read=lambda reply: _pairs(reply)[0][1] if reply else None, misfit=lambda: None,
    )  # fmt: skip


def members(key: str) -> Call[list[str]]:
    """Read a set."""
    return command("SMEMBERS", key, read=lambda reply: sorted(map(_name, reply)), misfit=list)


def _scanned(reply: Any) -> list[str]:
    items = reply[1]
    if items and isinstance(items[0], list | tuple):
        return [_name(member) for member, _ in items]
    return [_name(member) for member in items[::2]]


def scan_members(index: str, cursor: str, prefix: str) -> Call[tuple[str, list[str]]]:
    """
    Read one page of the members of an index that begin with *prefix*.

    Gives the next cursor, "0" at the end.
    """
    return command(
        "ZSCAN",
        index,
        cursor,
        "MATCH",
        f"{prefix}*",
        "COUNT",
        5_000,
        read=lambda reply: (_cursor(reply), _scanned(reply)),
    )


def scan_keys(cursor: str, count: int) -> Call[tuple[str, list[str]]]:
    """Read one page of all keys; gives the next cursor, "0" at the end."""
    return command(
        "SCAN",
        cursor,
        "COUNT",
        count,
        read=lambda reply: (_cursor(reply), [_name(key) for key in reply[1]]),
    )


def _cursor(reply: Any) -> str:
    return reply[0].decode() if isinstance(reply[0], bytes) else str(reply[0])


def time_to_live(key: str) -> Call[int]:
    """Read how long a key lives: seconds, -1 for ever, -2 when it is gone."""
    return command("TTL", key, read=int)


def server_time() -> Call[float]:
    """Read the server's clock, in unix seconds."""
    return command("TIME", read=lambda reply: int(reply[0]) + int(reply[1]) / 1e6)


class QueueFacts(NamedTuple):
    """What Redis holds of one RQ queue."""

    #: entries of its list: one outlives a run that was cancelled in its queue, until a worker comes
    #: to it
    entries: int
    #: the first entry, "" when there is none
    head: str
    #: runs that wait there
    pending: int
    #: since when the first of them waits, in unix seconds
    pending_since: float | None
    #: entries that workers have claimed
    claimed: int


async def load_queue_facts(keys: Keys, rq_queue: str) -> QueueFacts:
    """Read what Redis holds of one RQ queue, in one round trip."""
    head = command("LINDEX", Keys.rq_list(rq_queue), 0, read=_name_or_none, misfit=str)
    return QueueFacts(
        *await batch(
            queue_length(rq_queue),
            head,
            index_size(keys.queued_at(rq_queue)),
            oldest_pending(keys, rq_queue),
            index_size(Keys.rq_wip(rq_queue)),
        )
    )


def rq_worker_names() -> Call[list[str]]:
    """Name the workers that RQ knows."""
    return command(
        "SMEMBERS",
        RQ_WORKERS,
        read=lambda reply: sorted(_name(key).removeprefix(RQ_WORKER) for key in reply),
        misfit=list,
    )


def rq_worker_row(name: str) -> Call[dict[bytes, bytes]]:
    """Read what RQ knows of a worker; empty when it is gone."""
    return load_hash(f"{RQ_WORKER}{name}")


def forget_rq_worker(name: str, row: dict[bytes, bytes]) -> list[Call[int]]:
    """
    Take a dead worker out of RQ's sets; *row* is what `rq_worker_row` read of it.

    They would else keep its name until another worker starts.
    """
    key = f"{RQ_WORKER}{name}"
    queues = [queue for queue in _name(row.get(b"queues", b"")).split(",") if queue]
    sets = [RQ_WORKERS, *(f"{RQ_WORKERS}:{queue}" for queue in queues)]
    return [*(command("SREM", each, key, read=int) for each in sets), command("DEL", key, read=int)]


def worker_seen(keys: Keys, group: str, name: str) -> Call[float | None]:
    """
    Read when a worker of a group last made its round, in unix seconds.

    None when that is so long ago that it is forgotten.
    """
    return command(
        "ZSCORE",
        keys.workers(group),
        name,
        read=lambda reply: None if reply is None else float(reply),
    )


def say_versions(keys: Keys, runner_keys: Sequence[str], at: float) -> Call[int]:
    """
    Say that a worker has these workflows at the time *at*, in unix seconds.

    A runner key is a name with its version: `name`, `name@2`. Each worker says them once a second.
    """
    scored: list[Part] = [part for key in runner_keys for part in (format_time(at), key)]
    return command("ZADD", keys.versions, *scored, read=int)


def load_versions(keys: Keys) -> Call[list[tuple[str, float]]]:
    """Read each runner key that workers have or had, and when one said so last."""
    return newest(keys.versions, before=None, count=_VERSIONS_READ)


def forget_versions(keys: Keys, before: float) -> Call[int]:
    """Forget what no worker has said since *before*."""
    return command("ZREMRANGEBYSCORE", keys.versions, "-inf", format_time(before), read=int)


def save_builds(keys: Keys, worker: str, packed: bytes) -> Call[int | None]:
    """
    Write which builds a worker has, once at its start; see `engine/versions/builds.py`.

    Gives None when something else stands where they are kept.
    """
    return command("HSET", keys.builds, worker, packed, read=int, misfit=lambda: None)


def load_builds(keys: Keys) -> Call[dict[bytes, bytes]]:
    """Read which builds each worker has, as it wrote them."""
    return load_hash(keys.builds)


def forget_builds(keys: Keys, workers: Sequence[str]) -> Call[int]:
    """Forget the builds of workers that have left, or are gone."""
    return command("HDEL", keys.builds, *workers, read=int, misfit=int)
