"""What looks at limits under attack sees what it looks for."""

import pytest

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


def looks(rounds=(), *, line=1, paused=0, every_s=0.01, lasts_s=5.0):
    """What a gauge sees of one key while a worker makes its rounds at these times."""
    gauge = Gauge(lambda: None, "gate", ["a"], 2)
    for number in range(int(lasts_s / every_s)):
        now = 100 + number * every_s
        done = [at for at in rounds if at <= now]
        gauge.note([now, paused, [b"w", done[-1]] if done else [], 0, 1, line, 0])
    return gauge


def test_it_sees_a_slot_that_is_free_beside_a_line_while_a_worker_lives():
    """[L20]"""
    gauge = looks(rounds=(99.9, 100.9, 101.9))
    assert len(gauge.wrong) == 1
    assert "was free with 1 in line for 1.9" in gauge.wrong[0]


@pytest.mark.parametrize(
    "seen",
    [
        {"rounds": (99.9, 100.9)},
        {"rounds": (99.9, 103.0, 104.0)},  # it was stopped
        {"rounds": (99.9, 101.3), "lasts_s": 1.5},  # a busy machine: its rounds take longer
        {"rounds": (99.9, 100.9, 101.9), "line": 0},
        {"rounds": (99.9, 100.9, 101.9), "paused": 1},
        {"rounds": (99.9, 100.9, 101.9), "every_s": 1.0},  # the machine had no time
    ],
)
def test_it_blames_nobody_when_no_worker_lives_or_none_has_time(seen):
    """[L20]"""
    assert looks(**seen).wrong == []
