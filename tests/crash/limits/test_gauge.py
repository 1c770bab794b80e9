"""What looks at limits under attack sees what it looks for."""

import time

from tests.crash.limits.gauge import MOST_ROUNDS, Gauge
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


def test_it_sees_a_slot_that_is_free_beside_a_line_for_many_rounds_of_a_worker(real):
    """[L20] A worker that makes no round, and a paused queue, are no fault of the line."""
    real.zadd("stepflow:line:gate:a", {"r": 1.0})
    gauge = Gauge(lambda: real, "gate", ["a"], 2)
    gauge.start()

    def rounds(count):
        for number in range(count):
            before = gauge.looks
            real.zadd("stepflow:workers:default", {"w": time.time() + number})
            until_blocking(lambda before=before: gauge.looks > before + 1)

    real.zadd("stepflow:workers:default", {"w": time.time()})
    before = gauge.looks
    until_blocking(lambda: gauge.looks > before + 20)
    assert gauge.idle_rounds == 0
    real.hset("stepflow:paused_queues", "default", "by hand")
    rounds(MOST_ROUNDS + 2)
    assert gauge.idle_rounds == 0
    real.delete("stepflow:paused_queues")
    rounds(MOST_ROUNDS)
    assert gauge.wrong == []
    rounds(2)
    gauge.stop()
    assert any("was free with 1 in line" in each for each in gauge.wrong)
    real.flushdb()
