"""Limits while workers are killed and stopped past their leases, and the server is killed."""

import random
import signal
import time

import pytest

from stepflow import RunSpec
from tests.crash.limits.gauge import Gauge
from tests.crash.support.app import path
from tests.crash.support.checker import check

pytestmark = pytest.mark.crash

MOST, KEYS = 4, ("a", "b", "c")


def test_never_above_the_limit_and_never_idle_whoever_dies(make_cluster):
    """[L20] [L7] Claims at any instant; slots of the dead are free with their claims."""
    cluster = make_cluster()
    cluster.client.limits.set("gate", concurrency=MOST)
    dice, kills, stopped = random.Random(5), 0, []
    workers = [cluster.worker("--concurrency", "20") for _ in range(3)]
    gauge = Gauge(lambda: cluster.server.client, "gate", KEYS, MOST)
    gauge.start()
    runs = cluster.submit(
        RunSpec("chain", path(4, pause=0.05), run_id=f"a-{n}", limits={"gate": dice.choice(KEYS)})
        for n in range(240)
    )
    last = time.monotonic()

    def hurt() -> None:
        nonlocal kills, last
        now = time.monotonic()
        for moment, process in list(stopped):
            if now > moment:
                stopped.remove((moment, process))
                process.send(signal.SIGCONT)
        if now < last + 1 or kills > 8:
            return
        last, kills = now, kills + 1
        victim = workers.pop(dice.randrange(len(workers)))
        if kills % 3 == 0:
            victim.send(signal.SIGSTOP)
            stopped.append((now + 3, victim))
        else:
            victim.kill()
        if kills == 5:
            cluster.server.kill()
            cluster.server.start()
        workers.append(cluster.worker("--concurrency", "20", ready=False))

    cluster.all_ended(runs, 90, also=hurt)
    for _, process in stopped:
        process.send(signal.SIGCONT)
    gauge.stop()
    cluster.client.limits.forget("gate")
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert gauge.wrong == []
    assert gauge.most == MOST
    assert gauge.looks > 100
    print(f"{gauge.told}, {kills} kills")
    assert kills >= 4
    assert found.attempts_lost > 0
    redis = cluster.server.client
    assert not redis.exists("stepflow:slots", "stepflow:lines")
