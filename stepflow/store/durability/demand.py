"""
What a durability asks of the server before a write counts as done.

WAITAOF covers the writes of the connection that sends it and returns at once for one that has
written nothing: a call that was recognized as a second arrival, say. So each wait has a small write
of its own in front. The append-only file and the replication stream have all writes of a server in
order: what confirms that write confirms everything before it, whoever wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stepflow.errors import RedisRefused, ServerUnfit
from stepflow.settings import Settings
from stepflow.store.calls import Call, batch_of, command, nothing, raw
from stepflow.store.durability.level import UNCONFIRMED, Durability
from stepflow.store.durability.losses import load_persistence
from stepflow.store.keys import Keys

#: milliseconds after which a wait returns, to be asked again: less than a connection may be silent
WAIT_MS = 1000
#: milliseconds to live of the key that is written in front of a wait
_KEPT_MS = 60_000
#: commands that write nothing: their answers are not waited for
_READS = frozenset({
    "BLPOP", "CONFIG", "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HLEN", "HMGET", "INFO",
    "LINDEX", "LLEN", "LPOS", "LRANGE", "MGET", "PING", "ROLE", "SCARD", "SMEMBERS", "SMISMEMBER",
    "SRANDMEMBER", "SSCAN", "TIME", "TTL", "TYPE", "XLEN", "XRANGE", "XREAD", "XREVRANGE", "ZCARD",
    "ZCOUNT", "ZMSCORE", "ZRANGE", "ZRANK", "ZREVRANGEBYSCORE", "ZSCAN", "ZSCORE",
})  # fmt: skip
#: how WAITAOF is refused by a server without an append-only file
_NO_FILE = "appendonly is disabled"


@dataclass(frozen=True, slots=True)
class Demand:
    """
    What must be confirmed: the server's own fsync, and that of *replicas*.

    Without *file* replicas need only have received it: the server keeps no append-only file.
    """

    durability: Durability
    replicas: int
    key: str
    file: bool = True

    def barrier(self) -> Call[None]:
        """Write something, for the wait to have what it waits for."""
        return command("SET", self.key, b"", "PX", _KEPT_MS, read=nothing, resend=False)

    def marker(self) -> Call[None]:
        """Write the same, as a call to be confirmed itself: it may arrive twice."""
        return command("SET", self.key, b"", "PX", _KEPT_MS, read=nothing)

    def waits(self, limit_ms: int = WAIT_MS) -> list[Call[Any]]:
        """
        Wait until all that this connection has written is confirmed, or *limit_ms* are over.

        The answer to the last of the calls says what is confirmed. A server asks its replicas once
        for each wait, together with the writes; they answer before these are on their disks, and
        tell of those by themselves only once a second. So a wait for receipt comes first, behind
        which the other asks them again.
        """
        if not self.replicas:
            return [command("WAITAOF", 1, 0, limit_ms, read=raw, resend=False)]
        if not self.file:
            return [command("WAIT", self.replicas, limit_ms, read=raw, resend=False)]
        half_ms = max(limit_ms // 2, 1)  # 0 would be without end
        return [
            command("WAIT", self.replicas, half_ms, read=raw, resend=False),
            command("WAITAOF", 1, self.replicas, half_ms, read=raw, resend=False),
        ]

    def is_met_by(self, reply: Any) -> bool:
        """Whether the last answer to `waits` confirms enough."""
        if self.file:
            return int(reply[0]) >= 1 and int(reply[1]) >= self.replicas
        return int(reply) >= self.replicas

    def without_file(self, problem: str) -> Demand | None:
        """Give the demand for a server that refused the wait by *problem*; None if it must not."""
        if self.replicas and self.file and _NO_FILE in problem:
            return replace(self, file=False)
        return None

    @property
    def words(self) -> str:
        """What is waited for, after 'confirm that it is'."""
        on_disk = ["on its disk"] if self.file else []
        count = "a replica" if self.replicas == 1 else f"{self.replicas} replicas"
        return " and ".join(on_disk + ([f"on {count}"] if self.replicas else []))


def demand_of(durability: Durability, settings: Settings, keys: Keys) -> Demand | None:
    """Give what a durability asks of the server; None for those that do not wait."""
    if durability in UNCONFIRMED:
        return None
    replicas = settings.redis.replicas if durability == "replicated" else 0
    return Demand(durability, replicas, f"{keys.namespace}:barrier")


def is_waited_for(call: Call[Any]) -> bool:
    """Whether a call may write, so that its answer is to be confirmed."""
    return call.script is not None or call.parts[0] not in _READS


async def check_demand(demand: Demand) -> Demand:
    """
    Give the demand as this server can meet it.

    Raises ServerUnfit for a server that never can. Missing replicas may come: they are no reason.
    """
    try:
        await batch_of([demand.barrier(), *demand.waits(1)])
    except RedisRefused as refusal:
        without_file = demand.without_file(str(refusal))
        if without_file is not None:
            return without_file
        if _NO_FILE in str(refusal):
            msg = (
                f"durability {demand.durability!r} waits for the append-only file, which is off "
                "here: set appendonly yes, or choose durability 'everysec'"
            )
            raise ServerUnfit(msg) from None
        if "unknown command" in str(refusal):
            msg = (
                f"durability {demand.durability!r} needs WAITAOF, which Redis and Valkey have from "
                "7.2 on, and this server has not: use a newer one, or durability 'everysec'"
            )
            raise ServerUnfit(msg) from None
        raise
    return demand


async def slow_to_confirm(demand: Demand) -> str:
    """Say in a sentence why this server confirms slowly, or not at all; empty if it does not."""
    found = await load_persistence()
    if found.replicas < demand.replicas:
        return (
            f"durability {demand.durability!r} waits for {demand.replicas} replicas, and there are "
            f"{found.replicas}: nothing is confirmed until they are there"
        )
    if demand.file and found.appendfsync == "no":
        return (
            "appendfsync is no: the kernel decides when something is on disk, and each step at "
            f"durability {demand.durability!r} waits for that; set it to always"
        )
    if demand.file and found.appendfsync == "everysec":
        return (
            f"appendfsync is everysec: each step at durability {demand.durability!r} waits up to a "
            "second for the disk; with appendfsync always it waits for one fsync"
        )
    return ""
