"""
The server's machine loses its power: what it had confirmed by fsync holds, the rest is gone.

`STEPFLOW_POWER_CUTS=1000` cuts it as often at `fsync`. The figures of the other durability are
printed with `-s`.
"""

from __future__ import annotations

import os
import random
import threading
import time

import pytest

from tests.crash.durability.disk import Disk
from tests.crash.durability.driver import (
    check_acknowledged,
    driving,
    lost_of,
    submits_of,
    went_back,
)
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

CUTS = int(os.environ.get("STEPFLOW_POWER_CUTS", "12"))
#: seconds between two syncs of the disk, and how many there are between two cuts at most
SYNC_S, SYNCS = 0.05, 6


def cut_often(disk: Disk, cuts: int) -> None:
    """Sync the disk a few times, then cut the power while much is under way, again and again."""
    chance = random.Random(7)
    for _ in range(cuts):
        for _ in range(chance.randint(1, SYNCS)):
            time.sleep(SYNC_S)
            disk.sync()
        time.sleep(chance.uniform(0, 2 * SYNC_S))
        until(lambda: disk.lags, what="a write that is not on the disk")
        disk.cut_power()


def test_at_fsync_nothing_acknowledged_is_lost_with_the_power(make_cluster):
    """[S13]"""
    cluster = make_cluster(appendfsync="no", STEPFLOW_DURABILITY="fsync")
    disk = Disk(cluster.server)
    disk_goes_on = threading.Event()
    syncing = threading.Thread(target=_sync_until, args=(disk, disk_goes_on), daemon=True)
    syncing.start()  # a worker that starts waits for the disk as well
    workers = [cluster.worker() for _ in range(2)]
    disk_goes_on.set()
    syncing.join()
    with driving(cluster, "fsync") as drivers:
        cut_often(disk, CUTS)
        disk._server.client.config_set("appendfsync", "always")
    found = check_acknowledged(cluster, drivers)
    assert all(worker.is_alive and "Traceback" not in worker.said for worker in workers)
    print(f"fsync: {disk.cuts} power cuts lost {disk.lost_bytes} bytes, and {found}")
    assert disk.lost_bytes > 0


def _sync_until(disk: Disk, over: threading.Event) -> None:
    while not over.wait(SYNC_S):
        disk.sync()


def test_at_everysec_what_was_not_on_disk_is_lost(make_cluster):
    """[S13] The negative control: the same attack finds losses where nothing waits for the disk."""
    cluster = make_cluster(appendfsync="no")
    disk = Disk(cluster.server)
    for _ in range(2):
        cluster.worker()
    with driving(cluster, "everysec") as drivers:
        cut_often(disk, 4)
        disk.sync()
        had = len(submits_of(drivers))
        # each had one under way, which the sync may have brought there
        until(lambda: len(submits_of(drivers)) > had + len(drivers), what="a submit since the sync")
        disk.cut_power()
    submitted = submits_of(drivers)
    lost, repeated = lost_of(cluster, submitted), went_back(cluster)
    print(f"everysec: {disk.cuts} power cuts lost {len(lost)} of {len(submitted)} submits, and "
          f"{len(repeated)} commits of runs that went on")  # fmt: skip
    assert lost
