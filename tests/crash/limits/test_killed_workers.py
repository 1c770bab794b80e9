"""Limits while workers are killed and stopped past their leases, and the server is killed."""

import random

import pytest

from stepflow import RunSpec
from tests.crash.limits.gauge import Gauge
from tests.crash.limits.hurting import Hurter
from tests.crash.support.app import path
from tests.crash.support.checker import check

pytestmark = pytest.mark.crash

MOST, KEYS = 4, ("a", "b", "c")


def test_never_above_the_limit_and_never_idle_whoever_dies(make_cluster):
    """[L20] [L7] Claims at any instant; slots of the dead are free with their claims."""
    cluster = make_cluster()
    cluster.client.limits.set("gate", concurrency=MOST)
    dice = random.Random(5)
    killer = Hurter(cluster, "--concurrency", "20", seed=5, most=9, workers=3, pause_s=1.0)
    gauge = Gauge(lambda: cluster.server.client, "gate", KEYS, MOST)
    gauge.start()
    runs = cluster.submit(
        RunSpec("chain", path(4, pause=0.05), run_id=f"a-{n}", limits={"gate": dice.choice(KEYS)})
        for n in range(240)
    )

    def attack() -> None:
        killer()
        if killer.kills >= 5 and not cluster.server.kills:
            cluster.server.restart()

    cluster.all_ended(runs, also=attack)
    killer.let_go()
    gauge.stop()
    cluster.client.limits.forget("gate")
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert gauge.wrong == []
    assert gauge.most == MOST
    assert gauge.looks > 100
    print(f"{gauge.told}, {killer.kills} kills")
    assert killer.kills >= 4
    assert found.attempts_lost > 0
    redis = cluster.server.client
    assert not redis.exists("stepflow:slots", "stepflow:lines")
