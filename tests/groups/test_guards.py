"""What a slice and a member find that is not theirs: each goes well because of one guard."""

from __future__ import annotations

import pytest

from stepflow.engine.groups.manifest import make_manifest
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.groups.moves import OTHER_MANIFEST, write_slice
from stepflow.store.groups.record import write_members, write_names
from tests.groups.conftest import Bench
from tests.limits.test_orderings import Altered


def slice_of(bench, keys, at):
    specs = bench.members(keys)
    manifest = make_manifest("g", specs, specs, None, (), bench.env)
    [(first, part)] = manifest.slices
    name = write_names([(member.key, digest) for digest, member in part])
    spec = write_members(first, [member for _, member in part])
    call = write_slice(bench.keys, manifest.group, at, name, spec, ttl_s=9, due_at=1)
    return bench.connection.call(call)


def a_slice_of_another_manifest(bench):
    """It is told so, and nothing of it is written."""
    slice_of(bench, "ab", 0)
    before = bench.redis.hgetall(bench.keys.group("g"))
    assert slice_of(bench, "abc", 1) == OTHER_MANIFEST
    assert bench.redis.hgetall(bench.keys.group("g")) == before


def a_later_slice_of_a_group_that_was_forgotten(bench):
    """It does not bring the group back in part."""
    assert slice_of(bench, "ab", 1) == 0
    assert not bench.redis.exists(bench.keys.group("g"))


def a_member_whose_id_another_run_has(bench):
    """It stays outside, and the group says so."""
    bench.client.submit("etl", "other", run_id="g--a")
    bench.submit("ab")
    assert bench.redis.hget(bench.keys.run("g--a"), "group") is None
    assert bench.redis.hget(bench.keys.group("g"), "n.refused") == b"1"


GUARDS = [
    (a_slice_of_another_manifest, "if row[1] and row[1] ~= digest then return -1 end"),
    (a_later_slice_of_a_group_that_was_forgotten, "if at ~= '0' then return 0 end"),
    (a_member_whose_id_another_run_has, "or row[2] ~= runner or row[3] ~= digest"),
]


@pytest.fixture
def bench(real, keys, clock):
    yield Bench(SyncConnection(real, "the test's server"), real, keys, clock)
    real.flushdb()


@pytest.mark.parametrize("meeting", [meeting for meeting, _ in GUARDS])
def test_with_its_guard_it_goes_well(bench, meeting):
    """[K6]"""
    meeting(bench)


@pytest.mark.parametrize(("meeting", "guard"), GUARDS)
def test_without_its_guard_it_goes_wrong(bench, meeting, guard):
    """[K6] Negative control of the one above."""
    altered = Altered(bench.connection, guard, "")
    with pytest.raises(AssertionError):
        meeting(Bench(altered, bench.redis, bench.keys, bench.clock))
