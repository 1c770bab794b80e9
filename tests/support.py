"""
What tests of every room use: waiting for a condition, a dump of a database, the keys that nothing
accounts for.
"""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

from stepflow.core.run import ENDS
from stepflow.store.keys import LIVE, Keys

#: seconds a condition may take to come true; reached only when a test fails
PATIENCE_S = 60.0

#: how the names of the RQ queues behind a queue end, but for the one of normal priority
_ENDS = {rq_queue.removeprefix("q") for rq_queue in map(Keys().rq_queue, "q" * 10, range(10))}
STATIC = {"rq:queues", "rq:failed", "rq:workers"}
#: keys of the name space that stay: what code or people have declared, one entry a name
DECLARED = {
    "app_hooks", "builds", "declared", "fair", "format", "graphs", "levels", "limits",
    "paused_queues", "store", "versions",
}  # fmt: skip


def runs_of(redis: Any, runner: str, keys: Keys | None = None) -> list[str]:
    """Name the kept runs of a runner, in the order of their ids."""
    keys = keys or Keys()
    indexes = [keys.runner_index(group, runner) for group in (LIVE, *ENDS)]
    return sorted(item.decode() for index in indexes for item in redis.zrange(index, 0, -1))


async def until(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait on the loop until *condition* (plain or async) gives something true, and give that."""
    end = time.monotonic() + PATIENCE_S
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(
                what or f"did not come true: {inspect.getsource(condition).strip()}"
            )
        await asyncio.sleep(0.005)


def until_blocking(condition: Callable[[], Any], what: str = "") -> Any:
    """Wait without a loop until *condition* gives something true, and give that."""
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(
                what or f"did not come true: {inspect.getsource(condition).strip()}"
            )
        time.sleep(0.005)
    return value


def dump(client: Any) -> dict[bytes, Any]:
    """
    Give everything a database holds, lists in order and whether each key has a time to live: two
    dumps can be compared.
    """
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    return {
        key: (read[client.type(key)](key), client.ttl(key) > 0)
        for key in sorted(client.scan_iter(count=1000))
    }


@cache
def loaded() -> frozenset[str]:
    """Name the modules of a process that has imported a worker, both clients and the program."""
    code = (
        "import sys\n"
        "import stepflow.entry, stepflow.worker.worker, stepflow.kits.app, stepflow.cli.main\n"
        "import stepflow.archiver\n"
        "from stepflow import Client, AsyncClient\n"
        "print(*sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return frozenset(said.stdout.split())


class Leaks:
    """
    Finds keys, and members of shared keys, that belong to no live run, worker or queue and have no
    time to live.
    """

    def __init__(self, client: Any) -> None:
        self.client = client
        self.keys = Keys()
        self.found: list[str] = []

    def find(self) -> list[str]:
        found = sorted(self.client.scan_iter(count=1000))
        with self.client.pipeline(transaction=False) as pipe:
            for key in found:
                pipe.ttl(key)
            ttls = pipe.execute()
        for key, ttl in zip(found, ttls, strict=True):
            if ttl == -1:  # -2 is for one that has gone meanwhile
                self._judge(key.decode())
        return self.found

    def _judge(self, key: str) -> None:  # noqa: C901, PLR0912, PLR0915  a table, a line for each key
        namespace, _, rest = key.partition(":")
        if namespace == "rq":
            self._judge_rq(key)
            return
        keys = self.keys = Keys(namespace)
        room, _, name = rest.partition(":")
        match room:
            case "run":
                self._unless(self._is_live(name.split(":")[0]), key)
            case "hook":
                self._unless(
                    self._record(f"hook:{name}").get(b"state") in {b"pending", b"running"}, key
                )
            case "bulk":
                record = self._record(f"bulk:{name.split(':')[0]}")
                self._unless(record.get(b"state") in {b"selecting", b"running"}, key)
            case "bulks":
                self._members(key, lambda bulk_id: self._record(f"bulk:{bulk_id}"))
            case "to_archive":
                pass  # ends wait there until they are archived
            case "claims":
                self._members(key, lambda member: self._record(member).get(b"token"))
            case "due" | "queued_at":
                self._members(key, self._is_awaited)
            case "sched":
                self._unless(self._record(f"sched:{name.split(':')[0]}").get(b"spec"), key)
            case "schedules":
                self._members(key, lambda schedule_id: self._record(f"sched:{schedule_id}"))
            case "group":
                record = self._record(f"group:{name.split(':')[0]}")
                self._unless(record.get(b"state") and not record.get(b"ended"), key)
            case "groups":
                self._members(key, lambda group_id: self._record(f"group:{group_id}"))
            case "slots" | "line" if name:
                self._members(key, self._is_live)
            case "slots" | "lines":
                for limited in self.client.smembers(key):
                    self._unless(self._of_limit(room.rstrip("s"), limited.decode()), key)
            case "deadlines":
                self._members(key, self._is_live)
            case "idx" if name.partition(":")[0] == "live":
                self._members(key, self._is_live)
            case "idx" if name == "expiry":
                self._members(key, lambda member: not self._is_live(member.split("|")[2]))
            case "idx":
                self._members(
                    key, lambda run_id: self._record(f"run:{run_id}") or self._expires(run_id)
                )
            case "hooks":
                self._members(key, lambda hook_id: self._record(f"hook:{hook_id}"))
            case "questions":
                self._members(key, self._is_live)
            case "once":
                holder = (self.client.get(key) or b"").decode()
                self._unless(self._is_live(holder), key)
            case "lane":
                self._members(key, self._is_awaited)
            case "lanes" | "laned":
                self._unless(list(self.client.scan_iter(f"{namespace}:lane:*")), key)
            case "totals" | "stat" if name in {"", "new", "runners"}:
                pass
            case "waiting_lists":
                pass
            case _ if rest in DECLARED:
                pass
            case "waiting":
                waiting = [rq_id.decode() for rq_id in self.client.lrange(key, 0, -1)]
                self._unless(all(self._waits(rq_id) for rq_id in waiting), key)
            case "wake":
                known = {keys.rq_list(name), *(keys.rq_list(name + end) for end in _ENDS)}
                has_jobs = self.client.exists(*known)
                self._unless(
                    has_jobs or any(self.client.smismember("rq:queues", sorted(known))), key
                )
            case _:
                self.found.append(key)

    def _is_awaited(self, member: str) -> Any:
        if member.startswith("limit:"):
            return self._of_limit("line", member.removeprefix("limit:"))
        record = self._record(member)
        return record.get(
            {"sched": b"spec", "group": b"state"}.get(member.partition(":")[0], b"delivery")
        )

    def _judge_rq(self, key: str) -> None:
        kind, _, name = key.removeprefix("rq:").partition(":")
        if key in STATIC or kind in ("queue", "failed", "clean_registries"):
            return
        if kind == "job":
            foreign = self.client.hget(key, "status") == b"failed"
            self._unless(foreign or self._waits(name) or self._is_held(name), key)
        elif kind == "wip":
            self._members(key, lambda member: self._is_held(member.rsplit(":", 1)[0]))
        elif kind == "scheduled":
            self._members(key, self._waits)
        else:
            self.found.append(key)

    def _of_limit(self, kind: str, limited: str) -> Any:
        name = limited.replace("|", ":", 1)
        return self.client.exists(
            *(f"{self.keys.namespace}:{each}:{name}" for each in (kind, kind + "s"))
        )

    def _unless(self, fine: Any, what: str) -> None:
        if not fine:
            self.found.append(what)

    def _members(self, key: str, is_fine: Callable[[str], Any]) -> None:
        for member in self.client.zrange(key, 0, -1):
            self._unless(is_fine(member.decode()), f"{key} -> {member.decode()}")

    def _record(self, member: str) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = self.client.hgetall(f"{self.keys.namespace}:{member}")
        return found

    def _is_live(self, run_id: str) -> bool:
        record = self._record(f"run:{run_id}")
        return (
            b"state" in record
            and not record.get(b"ended")
            and self.client.zscore(self.keys.live, run_id) is not None
        )

    def _expires(self, run_id: str) -> bool:
        members = self.client.zrange(self.keys.expiry, 0, -1)
        return any(member.decode().split("|")[2] == run_id for member in members)

    def _waits(self, rq_id: str) -> bool:
        return rq_id.encode() in self._deliveries[0]

    def _is_held(self, rq_id: str) -> bool:
        return rq_id.encode() in self._deliveries[1]

    @cached_property
    def _deliveries(self) -> tuple[set[bytes], set[bytes]]:
        """The RQ ids that records wait for, and those of their claims."""
        records = [
            key
            for room in ("run", "hook")
            for key in self.client.scan_iter(f"*:{room}:*", count=1000)
        ]
        with self.client.pipeline(transaction=False) as pipe:
            for key in records:
                if key.count(b":") == 2:
                    pipe.hmget(key, "delivery", "claimed_id")
            rows = pipe.execute()
        return {row[0] for row in rows}, {row[1] for row in rows}
