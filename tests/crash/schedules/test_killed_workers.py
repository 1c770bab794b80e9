"""Schedules while their workers are killed, replies are lost, and the server is killed once."""

import pytest

from tests.crash.schedules.attack import attack

pytestmark = pytest.mark.crash

#: schedules of each kind, seconds of attack
MANY, LASTS_S = 12, 7.0


def test_each_time_has_exactly_one_run_whoever_dies(make_cluster):
    """[T3] [T9] [T23] None missed with `all`, none overlapping with `skip`, none doubled."""
    seen = attack(
        make_cluster(), workers=3, many=MANY, skipping=MANY, lasts_s=LASTS_S, every_s=1, seed=11
    )
    assert seen.wrong == []
    assert len(seen.expected) >= MANY * (LASTS_S - 1)
    assert sum(len(seen.on_time.runs(name)) for name in seen.on_time.skipping) > MANY
    assert seen.kills >= 4
    assert seen.lost
