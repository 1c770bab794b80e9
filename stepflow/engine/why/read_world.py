"""Reads what concerns all runs: the workers, the queues, whether Redis takes writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from stepflow.core.run import Run
from stepflow.engine.env import Env
from stepflow.engine.versions import BLOCKED_LIVE_S, LIVE_S, group_in
from stepflow.engine.why.facts import Worker, World
from stepflow.store.calls import Call, batch_of
from stepflow.store.evidence.of_run import info_if_allowed, is_suspended
from stepflow.store.keys import RQ_QUEUES, Keys
from stepflow.store.query import (
    index_size,
    load_builds,
    members,
    newest,
    queue_length,
    rq_worker_names,
    rq_worker_row,
    server_time,
)
from stepflow.store.run_hash import read_rq_time
from stepflow.store.steering.queues import load_paused_queues

#: queues whose lengths are read
_QUEUES = 60
#: workers of one group that are read
_WORKERS = 1_000
_GIB, _MIB = 2**30, 2**20


class WorldReader:
    """
    Reads the world in two steps that go with those of a run.

    One more is needed where workers have several queues: only then it is known in which group they
    report that they live.
    """

    def __init__(self, env: Env, *, wants_info: bool = False) -> None:
        self._env = env
        self._step = 0
        self._first: dict[str, Any] = {}
        self._rows: dict[str, dict[bytes, bytes]] = {}
        self._seen: dict[str, dict[str, float]] = {}
        self._groups: set[str] = set()
        self._queues: list[str] = []
        self._lengths: dict[str, int] = {}
        self._claimed: dict[str, int] = {}
        self._info: Mapping[str, str] = {}
        self._wants_info = wants_info

    @property
    def is_read(self) -> bool:
        """Whether all is read that is known to be needed."""
        return self._step >= 2 and not self._missing()  # noqa: PLR2004  the two steps

    def note(self, runs: Iterable[Run | None]) -> None:
        """Learn of runs whose workers and queues are to be read."""
        for run in runs:
            if run is None or run.is_finished:
                continue
            self._groups.add(run.queue)
            self._wants_info = True
            keys = self._env.keys
            names = keys.rq_queues(run.queue, {keys.queue_of(run)})
            self._queues += [name for name in names if name not in self._queues]

    def calls(self) -> dict[str, Call[Any]]:
        """Give what to ask for in the next round trip."""
        keys = self._env.keys
        if self._step == 0:
            return {
                "now": server_time(), "names": rq_worker_names(), "suspended": is_suspended(),
                "lists": members(keys.waiting_lists), "queues": members(RQ_QUEUES),
                "builds": load_builds(keys), "paused": load_paused_queues(keys),
            }  # fmt: skip
        if self._step > 1:
            return self._seen_calls(self._missing())
        known = [name.removeprefix(Keys.rq_list("")) for name in self._first["queues"]]
        known = [name for name in known if name not in self._queues]
        self._queues += known[: max(0, _QUEUES - len(self._queues))]
        calls: dict[str, Call[Any]] = {}
        for name in self._first["names"]:
            calls[f"row {name}"] = rq_worker_row(name)
        for queue in self._queues:
            calls[f"length {queue}"] = queue_length(queue)
            calls[f"claimed {queue}"] = index_size(Keys.rq_wip(queue))
        if self._wants_info:
            calls["info"] = info_if_allowed()
        return calls | self._seen_calls(self._groups | self._announced())

    def _seen_calls(self, groups: Iterable[str]) -> dict[str, Call[Any]]:
        keys = self._env.keys
        return {
            f"seen {group}": newest(keys.workers(group), before=None, count=_WORKERS)
            for group in groups
        }

    def take(self, answers: Mapping[str, Any]) -> None:
        """Take in what was answered."""
        self._step += 1
        if self._step == 1:
            self._first = dict(answers)
            return
        for name, answer in answers.items():
            what, _, which = name.partition(" ")
            match what:
                case "row":
                    self._rows[which] = answer
                case "length":
                    self._lengths[which] = answer
                case "claimed":
                    self._claimed[which] = answer
                case "seen":
                    self._seen[which] = dict(answer)
                case "info":
                    self._info = answer

    def _announced(self) -> set[str]:
        """Name the groups in which workers with workflows have announced themselves."""
        return {group for packed in self._first["builds"].values() if (group := group_in(packed))}

    @property
    def waiting_lists(self) -> Sequence[str]:
        """Name the waiting lists, as `<rq queue>|<runner>`."""
        found: list[str] = self._first["lists"]
        return found

    def _missing(self) -> set[str]:
        return {self._group(row) for row in self._rows.values() if row} - {*self._seen, ""}

    def _group(self, row: Mapping[bytes, bytes]) -> str:
        """Name the group of workers with the same queues, in which each reports that it lives."""
        keys = self._env.keys
        if b"concurrency" not in row:
            return ""
        names = {keys.split_queue(queue)[0] for queue in _words(row.get(b"queues", b""))}
        return "+".join(sorted(names - {keys.hook_queue}))

    def world(self) -> World:
        """Give what was read."""
        clock = self._env.clock
        now = clock.now() if clock.given else self._first["now"]
        found = {
            name: self._worker(name, row, now) for name, row in self._rows.items() if row
        }  # fmt: skip
        for group, seen in self._seen.items():
            queues = self._served(group.split("+"))
            for name, at in seen.items():
                worker = found.get(name) or Worker(name, queues, None, 0)
                seen_at = max(worker.seen_at, at)
                found[name] = replace(worker, seen_at=seen_at, is_live=at > now - LIVE_S)
        return World(
            now, list(found.values()), self._first["suspended"],
            {queue.name: (queue.by, queue.reason, queue.at) for queue in self._first["paused"]},
            refusal_in(self._info), self._lengths, self._claimed, frozenset(self._first["lists"]),
            self._env.settings.worker.redeliver_after_s,
        )  # fmt: skip

    def _served(self, names: Iterable[str]) -> list[str]:
        """Name the RQ queues that one of our workers serves, by what it was started with."""
        keys = self._env.keys
        known = {name.removeprefix(Keys.rq_list("")) for name in self._first["queues"]}
        found = dict[str, None]()
        for name in names:
            queue = keys.split_queue(name)[0]
            served = [name] if name == keys.hook_queue else keys.rq_queues(queue, known)
            found |= dict.fromkeys(served)
        return list(found)

    def _worker(self, name: str, row: Mapping[bytes, bytes], now: float) -> Worker:
        slots, pid = row.get(b"concurrency"), row.get(b"pid", b"")
        runners = frozenset(_words(row[b"runners"])) if b"runners" in row else None
        begun = read_rq_time(row.get(b"birth")) or 0.0
        beat = read_rq_time(row.get(b"last_heartbeat")) or 0.0
        queues = _words(row.get(b"queues", b""))
        condition, _, words = row.get(b"condition", b"").decode("utf-8", "replace").partition(": ")
        return Worker(
            name, queues if slots is None else self._served(queues), runners,
            None if slots is None else int(slots) if slots.isdigit() else 0,
            row.get(b"hostname", b"").decode("utf-8", "replace"),
            int(pid) if pid.isdigit() else 0,
            seen_at=max(begun, beat),
            is_live=slots is None or begun > now - LIVE_S,
            is_blocked=condition == "blocked" and beat > now - BLOCKED_LIVE_S,
            trouble=words or "a resource" if condition == "unhealthy" else "",
        )  # fmt: skip


async def refusal() -> str:
    """Say in words why Redis refuses writes; empty when it takes them, or does not say."""
    return refusal_in(await info_if_allowed())


async def read_world(env: Env) -> World:
    """Read the workers, the queues, and whether Redis takes writes, for no run."""
    reader = WorldReader(env, wants_info=True)
    while not reader.is_read:
        calls = reader.calls()
        answers = await batch_of(list(calls.values()))
        reader.take(dict(zip(calls, answers, strict=True)))
    return reader.world()


def _words(written: bytes) -> list[str]:
    text = written.decode("utf-8", "replace")
    return [name for word in text.split(",") if (name := word.strip("[]' "))]


def refusal_in(info: Mapping[str, str]) -> str:
    """Say in words why a server refuses writes, by its INFO; empty when it takes them."""

    def size(name: str) -> int:
        return int(info.get(name, "0")) if info.get(name, "0").isdigit() else 0

    most, used = size("maxmemory"), size("used_memory")
    if most and used >= most and info.get("maxmemory_policy", "noeviction") == "noeviction":
        return f"its memory is full ({_bytes(used)} of {_bytes(most)} used)"
    if info.get("role") == "slave":
        return "it is a replica"
    if info.get("aof_last_write_status") == "err":
        return "it cannot write its append-only file"
    return ""


def _bytes(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / _MIB:.0f} MiB"
