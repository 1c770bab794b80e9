"""What drives runs and keeps what was acknowledged to it, and what is found missing afterwards."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from stepflow import Client
from stepflow.errors import StepflowError
from stepflow.settings import RedisSettings, Settings
from tests.crash.support.app import path
from tests.crash.support.cluster import Cluster


class Driver(threading.Thread):
    """Submits runs and cancels some, one call after the other, and keeps what was acknowledged."""

    def __init__(self, cluster: Cluster, durability: str, number: int) -> None:
        super().__init__(daemon=True)
        settings = Settings(redis=RedisSettings(retry_for_s=60.0), durability=durability)
        self._client = Client(cluster.server.url, settings=settings)
        self._number = number
        self._is_over = threading.Event()
        self.submitted: list[str] = []
        self.cancelled: list[str] = []
        self.unsure = 0

    def run(self) -> None:
        while not self._is_over.is_set():
            run_id = f"d{self._number}-{len(self.submitted) + self.unsure}"
            try:
                if len(self.submitted) % 4:
                    self._client.submit("chain", path(3), run_id=run_id)
                else:  # waits for an hour, unless it is cancelled
                    self._client.submit("chain", path(1), run_id=run_id, delay=3600)
                    self._client.cancel(run_id)
                    self.cancelled.append(run_id)
                self.submitted.append(run_id)
            except StepflowError:
                self.unsure += 1

    def end(self) -> None:
        self._is_over.set()
        self.join()
        self._client.close()


@contextmanager
def driving(cluster: Cluster, durability: str) -> Iterator[list[Driver]]:
    drivers = [Driver(cluster, durability, number) for number in range(6)]
    for driver in drivers:
        driver.start()
    yield drivers
    for driver in drivers:
        driver.end()


def went_back(cluster: Cluster) -> list[str]:
    """Name the runs of which a step was begun again after a later one had begun."""
    furthest: dict[str, int] = defaultdict(int)
    found = []
    for line in cluster.witness.read_text().splitlines():
        run_id, number = line.split()[:2]
        if int(number) < furthest[run_id]:
            found.append(run_id)
        furthest[run_id] = max(furthest[run_id], int(number))
    return found


def lost_of(cluster: Cluster, run_ids: list[str]) -> list[str]:
    redis = cluster.server.client
    return [run_id for run_id in run_ids if not redis.exists(f"stepflow:run:{run_id}")]


def submits_of(drivers: list[Driver]) -> list[str]:
    """Name the runs whose submit was acknowledged."""
    return [run_id for driver in drivers for run_id in list(driver.submitted)]


def check_acknowledged(cluster: Cluster, drivers: list[Driver]) -> str:
    """Find every acknowledged submit, cancel and commit there; say how many there were."""
    submitted = submits_of(drivers)
    cancelled = {run_id for driver in drivers for run_id in driver.cancelled}
    assert lost_of(cluster, submitted) == []
    cluster.all_ended(submitted)
    ends = {run_id: cluster.status(run_id).state for run_id in submitted}
    assert {end for run_id, end in ends.items() if run_id not in cancelled} == {"succeeded"}
    assert {ends[run_id] for run_id in cancelled} == {"cancelled"}
    assert went_back(cluster) == []
    return f"of {len(submitted)} submits and {len(cancelled)} cancels none"
