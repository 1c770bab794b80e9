"""
The primary is destroyed while its replica lags: at `replicated` nothing acknowledged is lost.

`STEPFLOW_LOST_PRIMARIES=200` destroys as many.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from tests.crash.durability.driver import check_acknowledged, driving
from tests.crash.durability.replica import Pair

pytestmark = pytest.mark.crash

PRIMARIES = int(os.environ.get("STEPFLOW_LOST_PRIMARIES", "4"))


def test_at_replicated_nothing_acknowledged_is_lost_with_the_primary(make_cluster):
    """[S13]"""
    cluster = make_cluster(appendfsync="always", STEPFLOW_DURABILITY="replicated")
    pair, chance = Pair(cluster.server), random.Random(7)
    try:
        workers = [cluster.worker() for _ in range(2)]
        with driving(cluster, "replicated") as drivers:
            for _ in range(PRIMARIES):
                time.sleep(chance.uniform(0.1, 0.4))
                pair.destroy_primary(chance.uniform(0.02, 0.2))
        found = check_acknowledged(cluster, drivers)
        assert all(worker.is_alive and "Traceback" not in worker.said for worker in workers)
        assert any("a replica has taken over" in worker.said for worker in workers)
        print(f"replicated: {pair.destroyed} primaries took {pair.lost_bytes} bytes, and {found}")
        assert pair.lost_bytes > 0
    finally:
        pair.close()
