"""A run is let go after its end is archived, and only as that end left it."""

import pytest

from stepflow.core.run import Run
from stepflow.store.fork import STAGED_S, stage_run
from stepflow.store.runs import load_run
from stepflow.store.runs.release import release_run
from tests.limits.test_orderings import Altered

KEPT_S = 50
GUARDS = {
    "generation": ("(row[1] or '0') ~= generation", "false"),
    "ends": ("row[2] ~= ends", "false"),
    "ended": ("(row[3] or '') == ''", "false"),
}


@pytest.fixture
def ended(client, link_to_real):
    """Submit and fail a run that is held for the archive, and give its record."""

    def end():
        client.submit("etl", 1, run_id="a1", tags={"kind": "big"})
        client.fail("a1", "no")
        return link_to_real.call(load_run(client.env.keys, "a1"))

    return end


def release(link, client, run, *, keeps_all=True):
    call = release_run(
        client.env.keys, run, ttl_s=KEPT_S, output_ttl_s=10, keeps_all=keeps_all, now=1.0
    )
    return link.call(call)


def taken_up_again(client):
    client.retry("a1")


def ended_anew(client):
    client.retry("a1")
    client.fail("a1", "again")


def submitted_anew(client):
    client.submit("etl", 2, run_id="a1", on_conflict="restart")
    client.fail("a1", "again")


LATER = {"ended": taken_up_again, "ends": ended_anew, "generation": submitted_anew}


def ttl(real):
    return real.ttl("stepflow:run:a1")


def test_a_run_whose_end_is_archived_lives_as_long_as_its_settings_say(
    ended, client, link_to_real, real
):
    run = ended()
    assert release(link_to_real, client, run) == 1
    assert 0 < ttl(real) <= KEPT_S
    assert 0 < real.ttl("stepflow:run:a1:data") <= KEPT_S
    [(member, at)] = real.zrange("stepflow:idx:expiry", 0, -1, withscores=True)
    assert (member, at) == (b"failed|etl|a1|kind=big", 1.0 + KEPT_S)
    assert release(link_to_real, client, run, keeps_all=False) == 1
    assert real.hget("stepflow:run:a1", "cleared") == b"1"
    real.delete("stepflow:run:a1")
    assert release(link_to_real, client, run) == 0


@pytest.mark.parametrize("later", LATER)
def test_a_run_that_has_gone_on_since_is_left_alone(ended, client, link_to_real, real, later):
    """[H2]"""
    run = ended()
    LATER[later](client)
    before = ttl(real)
    assert release(link_to_real, client, run) == 0
    assert ttl(real) == before


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_it_is_not(ended, client, link_to_real, real, guard):
    """[H2]"""
    run = ended()
    LATER[guard](client)
    before = ttl(real)
    release(Altered(link_to_real, *GUARDS[guard]), client, run)
    assert ttl(real) != before
    real.flushall()  # it is damaged now


SECOND = ("redis.call('LLEN', journal_key) ~= tonumber(first)", "false")


@pytest.mark.parametrize("is_guarded", [True, False])
def test_what_is_laid_out_for_a_restore_comes_once_though_its_call_comes_twice(
    keys, link_to_real, real, is_guarded
):
    link = link_to_real if is_guarded else Altered(link_to_real, *SECOND)
    call = stage_run(keys, Run("a1", "etl"), 0, [b"one", b"two"], variables=["name", b"1"])
    assert [link.call(call), link.call(call)] == ([1, 0] if is_guarded else [1, 1])
    kept = real.lrange("stepflow:run:a1:journal", 0, -1)
    assert (kept == [b"one", b"two"]) is is_guarded
    assert 0 < real.ttl("stepflow:run:a1:journal") <= STAGED_S
    assert 0 < real.ttl("stepflow:run:a1:vars") <= STAGED_S
