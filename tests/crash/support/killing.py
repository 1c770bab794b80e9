"""Kills workers one after the other, while they are at work."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from tests.crash.support.cluster import Cluster, Process

#: seconds between two kills, unless a test says otherwise
PAUSE_S = 0.5


class Killer:
    """
    Kills a worker and starts another, *most* times, no two within *pause_s*; call it at each look.

    One that has claims is preferred, and one that is still starting is never killed. So kills
    strike work, and work is done between them, however slow the machine is.
    """

    def __init__(
        self, cluster: Cluster, *options: str, seed: int, most: int, workers: int = 2,
        pause_s: float = PAUSE_S,
    ) -> None:  # fmt: skip
        self._cluster, self._options = cluster, options
        self._dice, self._most, self._pause_s = random.Random(seed), most, pause_s
        started = [cluster.worker(*options, ready=False) for _ in range(workers)]
        for worker in started:
            worker.has_said("listens to")
        self.workers = started
        self.kills = 0
        self._next = time.monotonic() + pause_s

    def __call__(self) -> None:
        if self.kills >= self._most or time.monotonic() < self._next:
            return
        listening = [worker for worker in self.workers if "listens to" in worker.said]
        victims = at_work(self._cluster, listening) or listening
        if victims:
            victim = self._dice.choice(victims)
            self.workers.remove(victim)
            self.hurt(victim)
            self.kills += 1
            self.workers.append(self._cluster.worker(*self._options, ready=False))
            self._next = time.monotonic() + self._pause_s

    def hurt(self, victim: Process) -> None:
        """End it; for others to do something else."""
        victim.kill()


def pids_at_work(cluster: Cluster) -> set[int]:
    """Give the pids of the workers that have claims on runs at this moment."""
    names = _names_at_work(cluster)
    return {row.pid for row in cluster.client.workers() if row.name in names}


def at_work(cluster: Cluster, workers: Sequence[Process]) -> list[Process]:
    """Give those that have claims on runs at this moment."""
    names = _names_at_work(cluster)
    return [worker for worker in workers if worker.name in names]


def _names_at_work(cluster: Cluster) -> set[str]:
    redis = cluster.server.client
    claimed = [key for key in redis.zrange("stepflow:claims", 0, -1) if key.startswith(b"run:")]
    with redis.pipeline(transaction=False) as pipe:
        for key in claimed:
            pipe.hget(b"stepflow:" + key, "token")
        tokens = [token or b"" for token in pipe.execute()]
    return {token.split(b".")[0].decode() for token in tokens}
