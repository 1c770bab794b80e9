"""
The primary is destroyed while its replica lags: at `replicated` nothing acknowledged is lost.

`STEPFLOW_LOST_PRIMARIES=200` destroys as many.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.durability.demand import Demand
from tests.crash.durability.driver import check_acknowledged, driving, lost_of, submits_of
from tests.crash.durability.replica import Pair
from tests.crash.support.waiting import until

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


def test_a_replica_that_syncs_at_once_confirms_at_once(make_cluster):
    """
    [S12] It tells what is on its disk once a second unless it is asked, and it is asked when it is.

    One that is not asked again is in time for a fifth of these waits. A machine may be busy
    through some of them, but not through all.
    """
    cluster = make_cluster(appendfsync="always")
    pair = Pair(cluster.server)
    demand = Demand("replicated", 1, "a:barrier")
    connection = SyncConnection.to(Address.parse(cluster.server.url))
    try:
        for _ in range(20):
            calls = [demand.barrier(), *demand.waits(400)]
            replies = [connection.calls(calls)[-1] for _ in range(10)]
            in_time = sum(demand.is_met_by(reply) for reply in replies)
            if in_time >= 9:
                break
    finally:
        connection.close()
        pair.close()
    assert in_time >= 9


def test_at_everysec_what_no_replica_had_is_lost(make_cluster):
    """[S13] The negative control: the same attack finds losses where no replica is waited for."""
    cluster = make_cluster(appendfsync="always")
    pair = Pair(cluster.server)
    try:
        with driving(cluster, "everysec") as drivers:
            until(lambda: submits_of(drivers), what="a submit")
            pair.fall_behind()
            had = len(submits_of(drivers))
            until(
                # each had one under way, which the replica may have
                lambda: len(submits_of(drivers)) > had + len(drivers),
                what="a submit that no replica has",
            )
            pair.destroy_primary()
        submitted = submits_of(drivers)
        lost = lost_of(cluster, submitted)
        print(f"everysec: a primary took {len(lost)} of {len(submitted)} submits with it")
        assert lost
    finally:
        pair.close()
