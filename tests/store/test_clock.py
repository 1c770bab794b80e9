"""What this process takes the server's time to be."""

import time

import pytest

from stepflow.store import clock as module
from stepflow.store.clock import DRIFT_S, SET_BACK_S, ServerClock


@pytest.fixture
def here(monkeypatch):
    """A process whose clock stands still until it is moved."""

    class Time:
        now = 1000.0

        def time(self):
            return self.now

        monotonic = time

    made = Time()
    monkeypatch.setattr(module, "time", made)
    return made


def test_an_answer_that_is_read_late_does_not_turn_the_clock_back(here):
    clock = ServerClock()
    clock.learn(1005.0)
    here.now += 0.3
    clock.learn(1005.1)  # read 0.2 s after it was given
    assert clock.now() == pytest.approx(1005.3)


def test_a_quicker_answer_is_the_better_one(here):
    clock = ServerClock()
    clock.learn(1005.0)
    here.now += 0.1
    clock.learn(1005.3)
    assert clock.now() == pytest.approx(1005.3)


@pytest.mark.parametrize(
    ("behind_s", "waits_s"), [(SET_BACK_S, 0.0), (0.1, DRIFT_S)], ids=["clock set", "drift"]
)
def test_clocks_that_moved_against_each_other_are_believed(here, behind_s, waits_s):
    clock = ServerClock()
    clock.learn(1005.0)
    here.now += waits_s
    clock.learn(1005.0 + waits_s - behind_s)
    assert clock.now() == pytest.approx(1005.0 + waits_s - behind_s)


def test_what_was_never_heard_of_is_stale_and_reckons_with_this_clock():
    clock = ServerClock()
    assert clock.is_stale
    assert clock.now() == pytest.approx(time.time(), abs=5)
    clock.learn(time.time())
    assert not clock.is_stale
