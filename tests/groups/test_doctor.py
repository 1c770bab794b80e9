"""[K7] The doctor and groups: counts that do not agree are found and mended, nothing else is."""

import pytest

from stepflow.engine.doctor.groups import broken_groups, mend_group
from stepflow.engine.doctor.search import strays
from stepflow.store.connection.sync import carry_out
from tests.support import dump


def found(bench):
    return carry_out(bench.connection, broken_groups(bench.env))


def mend(bench):
    for broken in found(bench):
        assert carry_out(bench.connection, mend_group(broken, bench.env))
    assert found(bench) == []


def numbers(info):
    return (info.live, info.succeeded, info.failed, info.cancelled, info.gone)


def test_groups_that_stand_as_they_should_are_left_alone(bench):
    bench.submit("abc")
    assert found(bench) == []
    bench.succeed("a")
    bench.fail("b")
    assert found(bench) == []
    bench.succeed("c")
    bench.work()
    bench.client.delete("g--a")
    bench.submit("ab", group_id="stopped", join="all")
    bench.fail("a", group_id="stopped")
    bench.work()
    before = dump(bench.redis)
    assert found(bench) == []
    assert dump(bench.redis) == before


def test_a_member_that_a_worker_without_groups_ended_is_counted(bench):
    bench.submit("ab")
    bench.redis.hdel(bench.keys.run("g--a"), "group")
    bench.succeed("a")
    bench.redis.hset(bench.keys.run("g--a"), "group", "g")
    bench.succeed("b")
    bench.work()
    [broken] = found(bench)
    assert broken.uncounted == ["g--a"]
    mend(bench)
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, numbers(info)) == ("succeeded", (0, 2, 0, 0, 0))


def test_a_member_whose_record_is_gone_is_counted_as_gone(bench):
    bench.submit("ab")
    bench.redis.delete(bench.keys.run("g--a"))
    bench.succeed("b")
    mend(bench)
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, numbers(info)) == ("failed", (0, 1, 0, 0, 1))
    bench.redis.flushall()


@pytest.mark.parametrize(("word", "count"), [("succeeded", 0), ("succeeded", 7), ("failed", 0)])
def test_a_counter_that_disagrees_is_counted_anew(bench, word, count):
    bench.submit("abcd")
    bench.succeed("a", "b")
    bench.fail("c")
    bench.redis.hset(bench.keys.group("g"), f"n.{word}", count)
    [broken] = found(bench)
    assert broken.counts == {"succeeded": 2, "failed": 1, "cancelled": 0, "gone": 0}
    mend(bench)
    assert numbers(bench.groups.status("g")) == (1, 2, 1, 0, 0)


def test_who_was_counted_and_has_expired_stays_counted(bench):
    bench.submit("abcd")
    bench.succeed("a", "b", "c")
    bench.client.delete("g--a")
    bench.redis.hset(bench.keys.group("g"), "n.succeeded", 2)
    [broken] = found(bench)
    assert broken.counts == {"succeeded": 2, "failed": 0, "cancelled": 0, "gone": 1}


def test_counts_that_have_moved_are_not_written_over(bench):
    bench.submit("abc")
    bench.succeed("a")
    bench.redis.hset(bench.keys.group("g"), "n.succeeded", 0)
    [broken] = found(bench)
    bench.succeed("b")
    assert not carry_out(bench.connection, mend_group(broken, bench.env))


@pytest.mark.parametrize("options", [{}, {"join": 1}])
def test_a_group_that_nobody_would_come_to_is_put_back(bench, options):
    bench.submit("ab", **options)
    bench.succeed("a", "b")
    assert bench.redis.zrem(bench.keys.due, "group:g")
    [broken] = found(bench)
    assert broken.is_lost
    mend(bench)
    bench.work()
    assert bench.groups.status("g").state == "succeeded"


def test_its_place_in_the_due_set_is_no_stray(bench):
    bench.submit("a", join="all")
    bench.succeed("a")
    assert carry_out(bench.connection, strays(bench.env))[0] == []
    bench.redis.delete(bench.keys.group("g"))
    [stray] = carry_out(bench.connection, strays(bench.env))[0]
    assert stray.member == "group:g"
    bench.redis.flushall()
