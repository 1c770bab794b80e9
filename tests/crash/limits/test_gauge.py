"""What looks at limits under attack sees what it looks for."""

import time

from tests.crash.limits.gauge import Gauge
from tests.support import until_blocking


def test_it_sees_too_many_claims_and_claims_without_slots(real):
    for number in range(3):
        real.hset(f"stepflow:run:r{number}", mapping={"token": "t", "limits": "gate|a|1"})
        real.zadd("stepflow:claims", {f"run:r{number}": 1.0})
    gauge = Gauge(lambda: real, "gate", ["a", "b"], 2)
    gauge.start()
    until_blocking(lambda: len(gauge.wrong) > 2)
    gauge.stop()
    assert any("3 of 2 of key a were claimed" in each for each in gauge.wrong)
    assert any("with 0 slots" in each for each in gauge.wrong)
    real.flushdb()


def test_it_sees_a_free_slot_beside_a_line_while_a_worker_lives(real):
    real.zadd("stepflow:line:gate:a", {"r": 1.0})
    gauge = Gauge(lambda: real, "gate", ["a"], 2)
    gauge.start()
    until_blocking(lambda: gauge.looks > 3)
    assert gauge.idle_s == 0
    real.zadd("stepflow:workers:default", {"w": time.time() + 60})
    until_blocking(lambda: gauge.idle_s > 0)
    gauge.stop()
    assert gauge.wrong == []
    real.flushdb()
