"""Which Redis can carry stepflow, and what is said at start about one that may lose data."""

import pytest

from stepflow.errors import ServerUnfit
from stepflow.store.connection.server_check import check_server
from stepflow.store.connection.sync import carry_out

GOOD = {
    "redis_version": "7.2.0",
    "maxmemory": "0",
    "maxmemory_policy": "noeviction",
    "aof_enabled": "1",
    "role": "master",
}


def check(**changes):
    """Hand the plan what INFO would say."""
    plan = check_server()
    plan.send(None)
    try:
        plan.send([{**GOOD, **changes}])
    except StopIteration as end:
        return end.value
    raise AssertionError("one look is enough")


def test_the_embedded_server_is_fit_and_nothing_is_to_be_said_about_it(link_to_real):
    """[C39]"""
    assert carry_out(link_to_real, check_server()) == ([], None)


@pytest.mark.parametrize(
    "changes",
    [{}, {"redis_version": "6.2.0"}, {"redis_version": "8.0.1"}, {"valkey_version": "9.1.2"}],
)
def test_a_good_server_is_taken_in_silence(changes):
    """[C39] Negative control."""
    assert check(**changes) == ([], None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"redis_version": "6.0.16"}, "Redis 6.0.16 is too old; stepflow needs Redis 6.2"),
        ({"redis_version": "5.0"}, "is too old"),
        ({"cluster_enabled": "1"}, "this is a Redis Cluster"),
        ({"redis_mode": "cluster"}, "this is a Redis Cluster"),
        ({"server_mode": "sentinel"}, "this is a Sentinel"),
        (
            {"redis_mode": "sentinel"},
            r"this is a Sentinel, .* write redis\+sentinel://HOST:PORT/SERVICE",
        ),
    ],
)
def test_a_server_that_cannot_carry_stepflow_is_refused_in_words(changes, words):
    """[C39]"""
    with pytest.raises(ServerUnfit, match=words):
        check(**changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"maxmemory": "100", "maxmemory_policy": "allkeys-lru"},
            "a full Redis will throw runs away; set it to noeviction",
        ),
        ({"maxmemory_policy": "allkeys-lru"}, "should a memory limit be set, runs are thrown away"),
        ({"aof_enabled": "0"}, "the append-only file is off"),
    ],
)
def test_what_may_lose_data_is_said(changes, words):
    """[C39]"""
    [warning], waits_for = check(**changes)
    assert words in warning
    assert waits_for is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"role": "slave"}, "this is a replica"), ({"loading": "1"}, "still loading its data")],
)
def test_what_passes_by_itself_is_waited_for(changes, words):
    """[B20]"""
    warnings, waits_for = check(**changes)
    assert warnings == []
    assert words in waits_for
