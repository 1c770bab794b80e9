"""[O29] What the version before has listed is found, and moved; it may go on listing meanwhile."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepflow import Client
from stepflow.store.claims import QueueSource
from stepflow.store.indexes.old import (
    move_old,
    old_ended_index,
    old_ended_indexes,
    old_expiry,
    old_runner_index,
)
from stepflow.store.keys import LIVE, Keys
from stepflow.store.maintenance import MaintenanceScan, scan_maintenance, sweep_expired
from tests.listing.before import Before
from tests.listing.walks import all_ids

LISTS: list[dict[str, Any]] = [
    {}, {"state": "failed"}, {"runner": "x"}, {"state": "failed", "runner": "x"},
    {"state": "pending", "runner": "x"},
]  # fmt: skip


@pytest.fixture
def before(client: Client, real: Any, keys: Keys) -> Before:
    return Before(client, real, keys)


def scan(client: Client, keys: Keys) -> MaintenanceScan:
    """Scan as a worker of today does once a second."""
    sources = [QueueSource(*(["nothing"] * len(QueueSource._fields)))]
    call = scan_maintenance(
        keys, sources, "default", "w", given="", silent_s=5.0, dead_s=1000.0,
        old_runner_indexes=[old_runner_index(keys, "x")],
    )  # fmt: skip
    return client.connection.call(call)


def make_round(client: Client, keys: Keys) -> None:
    """Do what such a worker does for the indexes."""
    if scan(client, keys).has_old:
        for index in (*old_ended_indexes(keys), old_runner_index(keys, "x")):
            while client.connection.call(move_old(keys, index, given="", limit=2)) == 2:
                pass


def is_moved(real: Any, keys: Keys) -> bool:
    return not real.exists(*old_ended_indexes(keys), old_runner_index(keys, "x"), old_expiry(keys))


def test_what_stood_there_before_the_deploy_is_listed_before_and_after_it_is_moved(
    client, before, real, keys
):
    for n in range(7):
        before.submit(f"r{n}")
    for n in (3, 1):
        before.fail(f"r{n}")
    for by in LISTS:
        failed, live = ["r1", "r3"], ["r0", "r2", "r4", "r5", "r6"]
        wanted = {"failed": failed, "pending": live}.get(by.get("state"), [*failed, *live])
        for limit in (2, 50):
            assert sorted(all_ids(client, limit, **by)) == sorted(wanted), by
    assert scan(client, keys).has_old
    make_round(client, keys)
    assert is_moved(real, keys)
    assert not scan(client, keys).has_old
    assert all_ids(client, state="failed") == all_ids(client, state="failed", runner="x")
    assert all_ids(client) == ["r1", "r3", "r6", "r5", "r4", "r2", "r0"]
    assert all_ids(client, runner="x") == all_ids(client)
    real.flushall()


@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_run_that_was_moved_goes_from_the_lists_when_it_expires(client, before, real, keys, ends):
    """Its record was made by the one version and ended by the other."""
    if ends == "before":
        client.submit("x", run_id="a", tags={"k": "v"})
        before.fail("a")
    else:
        before.submit("a")
        client.fail("a")
    make_round(client, keys)
    make_round(client, keys)
    real.delete(*real.scan_iter(keys.run("a") + "*"))
    for member in real.zrange(keys.expiry, 0, -1):
        real.zadd(keys.expiry, {member: 1.0})
    assert client.connection.call(sweep_expired(keys, given="", limit=10)) == 1
    assert [key for key in real.scan_iter("stepflow:*") if b"idx" in key] == []
    assert not real.exists(old_expiry(keys))


def test_an_expired_run_of_the_version_before_is_swept_where_that_has_listed_it(
    client, before, real, keys
):
    before.submit("a")
    before.fail("a")
    real.delete(*real.scan_iter(keys.run("a") + "*"))
    real.zadd(old_expiry(keys), {"failed|x|a": 1.0})
    swept = sweep_expired(keys, given="", limit=10, expiry=old_expiry(keys))
    assert client.connection.call(swept) == 1
    assert not list(real.scan_iter("stepflow:idx:*"))


@pytest.mark.crash
def test_while_both_versions_work_no_list_is_wrong_and_in_the_end_all_are_whole(
    client, before, real, keys
):
    """
    A run that the version before has ended or retried may be missing from a list by runner until a
    round moves it; nothing is listed twice, or in a state that it is not in.
    """

    @settings(max_examples=40, suppress_health_check=list(HealthCheck))
    @given(dice=st.randoms(use_true_random=False))
    def check(dice: random.Random) -> None:
        real.flushall()
        world = Mixed(dice, client, before)
        for _ in range(dice.randrange(25)):
            world.something_happens()
            world.look()
        make_round(client, keys)
        world.moved()
        world.look(is_whole=True)
        assert is_moved(real, keys) or set(real.zrange(old_expiry(keys), 0, -1))
        for index in (*old_ended_indexes(keys), old_runner_index(keys, "x")):
            assert not real.exists(index)

    check()
    real.flushall()


class Mixed:
    """A few runs, and processes of both versions that move them."""

    def __init__(self, dice: random.Random, client: Client, before: Before) -> None:
        self._dice = dice
        self._client = client
        self._before = before
        self._states: dict[str, str] = {}
        #: what the version before has ended or retried, and no round has moved yet
        self._hidden: set[str] = set()

    def something_happens(self) -> None:
        """Have one of the two do one thing."""
        is_old = self._dice.random() < 0.5
        by: Any = self._before if is_old else self._client
        run_id = self._dice.choice([*self._states, "new", "new"])
        if run_id == "new":
            run_id = f"r{len(self._states)}"
            by.submit(run_id) if is_old else by.submit("x", run_id=run_id)
            self._states[run_id] = "pending"
            return
        if self._dice.random() < 0.2:
            make_round(self._client, self._before.keys)
            self._hidden.clear()
            return
        is_live = self._states[run_id] == "pending"
        by.fail(run_id) if is_live else by.retry(run_id)
        self._states[run_id] = "failed" if is_live else "pending"
        if is_old:
            self._hidden.add(run_id)
        else:
            self._hidden.discard(run_id)

    def moved(self) -> None:
        """Note that a round has moved what there was."""
        self._hidden.clear()

    def look(self, *, is_whole: bool = False) -> None:
        """Hold all lists against what the runs are in."""
        for by in LISTS:
            found = all_ids(self._client, self._dice.choice([2, 50]), **by)
            wanted = {
                run_id for run_id, state in self._states.items()
                if by.get("state") in (None, state)
            }  # fmt: skip
            assert len(found) == len(set(found)), (by, found)
            assert set(found) <= wanted, (by, found, wanted)
            may_miss = self._hidden if "runner" in by and not is_whole else set()
            assert wanted - set(found) <= may_miss, (by, found, wanted)


def test_a_worker_moves_what_it_finds_the_newest_first(client, before, real, keys):
    for n in range(5):
        before.submit(f"r{n}")
        before.fail(f"r{n}")
    index = old_ended_index(keys, "failed")
    assert client.connection.call(move_old(keys, index, given="", limit=2)) == 2
    assert real.zrange(index, 0, -1) == [b"r0", b"r1", b"r2"]
    assert real.zrange(keys.ended_index("failed"), 0, -1) == [b"r3", b"r4"]
    assert real.zrange(old_runner_index(keys, "x"), 0, -1) == [b"r0", b"r1", b"r2"]
    assert not real.zcard(keys.runner_index(LIVE, "x"))
    make_round(client, keys)
    assert is_moved(real, keys)
    real.flushall()
