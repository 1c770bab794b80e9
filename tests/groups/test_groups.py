"""[K6] [K7] A group from its submit to its end, on the fake and on a real server."""

from dataclasses import replace

import pytest

from stepflow import (
    GroupBusy,
    GroupMismatch,
    GroupNotFound,
    InvalidOption,
    Join,
    RetryPolicy,
    RunSpec,
)
from stepflow.core.fanout.group import Counts, check_group_id, key_of, member_run_id
from stepflow.engine.groups.manifest import make_manifest
from stepflow.engine.retry import retry
from stepflow.store.groups.moves import write_slice


def numbers(info):
    return (info.waiting, info.live, info.succeeded, info.failed, info.cancelled)


def test_the_members_begin_under_ids_that_follow_from_group_and_key(bench):
    info = bench.submit("abc")
    assert bench.live() == ["g--a", "g--b", "g--c"]
    assert (info.state, info.total, numbers(info)) == ("running", 3, (0, 3, 0, 0, 0))
    assert bench.client.status("g--b").payload == "b"


def test_submitting_it_again_begins_nothing_twice(bench):
    bench.submit("abc")
    bench.succeed("a")
    again = bench.submit("cba")
    assert numbers(again) == (0, 2, 1, 0, 0)
    assert bench.client.status("g--a").state == "succeeded"


def test_a_member_that_is_gone_by_now_does_not_begin_again(bench):
    bench.submit("ab")
    bench.succeed("a")
    bench.client.delete("g--a")
    bench.submit("ab")
    assert bench.client.status("g--a") is None


def test_the_end_of_the_last_member_ends_the_group(bench):
    bench.submit("abc")
    bench.succeed("a", "b")
    bench.work()
    assert bench.groups.status("g").state == "running"
    bench.succeed("c")
    assert "g" in bench.due()
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, info.end, numbers(info)) == ("succeeded", 1, (0, 0, 3, 0, 0))
    assert info.is_finished
    assert info.ended_at is not None
    assert bench.due() == {}


def test_without_a_join_each_member_runs_to_its_end(bench):
    bench.submit("abc")
    bench.fail("a")
    bench.work()
    assert numbers(bench.groups.status("g")) == (0, 2, 0, 1, 0)
    bench.succeed("b", "c")
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, numbers(info)) == ("failed", (0, 0, 2, 1, 0))


def test_a_join_that_is_met_cancels_the_rest(bench):
    bench.submit("abcde", join=Join.quorum(2))
    bench.succeed("a", "d")
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, numbers(info)) == ("succeeded", (0, 0, 2, 0, 3))
    assert bench.client.status("g--b").reason == "join quorum(2) of group g is met"


def test_a_join_that_can_no_longer_be_met_ends_at_once(bench):
    bench.submit("abc", join="all")
    bench.fail("b")
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, numbers(info)) == ("failed", (0, 0, 0, 1, 2))


def test_a_timeout_settles_a_join_with_what_has_ended_by_then(bench):
    bench.submit("abc", join=Join.settled(at_least=1, timeout=30))
    bench.succeed("a")
    bench.work()
    assert bench.due()["g"] == pytest.approx(30, abs=1e-3)
    bench.clock.advance(30)
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, numbers(info)) == ("succeeded", (0, 0, 1, 0, 2))


def test_a_group_without_members_is_met_at_once(bench):
    bench.groups.submit("g", {})
    bench.work()
    assert bench.groups.status("g").state == "succeeded"


def test_another_manifest_is_refused_with_the_keys_that_differ(bench):
    bench.submit("abcd")
    members = {**bench.members("bcd"), "e": RunSpec("etl", 1), "c": RunSpec("other", "c")}
    with pytest.raises(GroupMismatch) as caught:
        bench.groups.submit("g", members | {"d": RunSpec("etl", "d", queue="slow")})
    assert caught.value.added == ["e"]
    assert caught.value.missing == ["a"]
    assert caught.value.changed == ["c", "d"]
    assert "1 new: e; 1 missing: a; 2 different: c, d" in str(caught.value)
    with pytest.raises(GroupMismatch, match="its join or webhooks differ"):
        bench.submit("abcd", join="all")


@pytest.mark.parametrize("name", ["", "a--b", "-a", "a-", "a b", "a.b", "ä", "a" * 65])
def test_a_name_that_could_not_be_told_from_a_key_is_refused(bench, name):
    with pytest.raises(InvalidOption, match="group id"):
        bench.submit(group_id=name)


@pytest.mark.parametrize("key", ["", "-a", "a b", "a.b", "a" * 126])
def test_a_key_that_makes_no_run_id_is_refused_before_anything_is_written(bench, key):
    with pytest.raises(InvalidOption, match="key"):
        bench.groups.submit("g", {"fine": RunSpec("etl"), key: RunSpec("etl")})
    assert bench.groups.list() == []


def test_no_two_pairs_of_group_and_key_make_one_run_id():
    assert check_group_id("a-b") == "a-b"
    assert member_run_id("a-b", "c--d") == "a-b--c--d"
    assert key_of("a-b", "a-b--c--d") == "c--d"


@pytest.mark.parametrize("options", [{"run_id": "r"}, {"on_conflict": "restart"}])
def test_a_member_has_no_run_id_of_its_own(bench, options):
    with pytest.raises(InvalidOption, match="follows from group and key"):
        bench.groups.submit("g", {"a": RunSpec("etl", **options)})


def test_an_equal_run_that_is_there_is_taken_into_the_group(bench):
    bench.client.submit("etl", "a", run_id="g--a")
    bench.client.submit("etl", "b", run_id="g--b")
    bench.succeed("b")
    bench.submit("abc")
    assert numbers(bench.groups.status("g")) == (0, 2, 1, 0, 0)
    bench.succeed("a", "c")
    bench.work()
    assert bench.groups.status("g").state == "succeeded"


def test_a_member_whose_id_another_run_has_is_refused_and_counted(bench, caplog):
    bench.client.submit("etl", "something else", run_id="g--a")
    info = bench.submit("ab")
    assert (info.refused, numbers(info)) == (1, (0, 1, 0, 0, 0))
    assert "member a does not begin" in caplog.text
    bench.succeed("b")
    bench.work()
    assert bench.groups.status("g").state == "failed"


def test_retry_failed_touches_only_those(bench):
    bench.submit("abcd")
    bench.fail("a", "b")
    bench.succeed("c")
    bench.cancel("d")
    bench.work()
    assert bench.groups.status("g").state == "failed"
    assert bench.groups.retry_failed("g") == 2
    assert bench.live() == ["g--a", "g--b"]
    assert numbers(bench.groups.status("g")) == (0, 2, 1, 0, 1)
    bench.succeed("a", "b")
    bench.work()
    info = bench.groups.status("g")
    assert (info.state, info.end, numbers(info)) == ("failed", 2, (0, 0, 3, 0, 1))


def test_a_member_that_fails_again_meanwhile_is_not_retried_twice(bench):
    bench.submit("ab")
    bench.fail("a", "b")
    bench.work()
    assert bench.groups.retry_failed("g") == 2
    bench.fail("a")
    bench.work()
    assert bench.live() == ["g--b"]
    bench.fail("b")
    bench.work()
    assert bench.groups.retry_failed("g") == 2


def test_a_member_retried_by_hand_reopens_its_group(bench):
    bench.submit("ab")
    bench.fail("a")
    bench.succeed("b")
    bench.work()
    bench.client.retry("g--a")
    info = bench.groups.status("g")
    assert (info.state, info.ended_at, numbers(info)) == ("running", None, (0, 1, 1, 0, 0))
    bench.succeed("a")
    bench.work()
    assert bench.groups.status("g").state == "succeeded"


def test_nothing_failed_is_nothing_to_retry(bench):
    bench.submit("a")
    bench.succeed("a")
    bench.work()
    assert bench.groups.retry_failed("g") == 0
    assert bench.groups.status("g").state == "succeeded"


def test_a_failed_member_that_cannot_be_retried_is_left_alone(bench, caplog):
    bench.submit("ab")
    bench.fail("a", "b")
    bench.work()
    bench.client.delete("g--a")
    assert bench.groups.retry_failed("g") == 2
    assert "run=g--a is not retried" in caplog.text
    bench.succeed("b")
    bench.work()
    assert numbers(bench.groups.status("g")) == (0, 0, 1, 1, 0)


def test_a_cancel_cancels_each_live_member(bench):
    bench.submit("abc")
    bench.succeed("a")
    assert bench.groups.cancel("g", "the input was wrong")
    info = bench.groups.status("g")
    assert (info.state, info.reason, numbers(info)) == (
        "cancelled", "the input was wrong", (0, 0, 1, 0, 2),
    )  # fmt: skip
    assert bench.client.status("g--b").reason == "the input was wrong"
    assert not bench.groups.cancel("g")


def test_a_forgotten_group_leaves_its_members_alone(bench):
    bench.submit("ab")
    with pytest.raises(GroupBusy):
        bench.groups.forget("g")
    bench.succeed("a")
    bench.groups.cancel("g")
    assert bench.groups.forget("g")
    assert not bench.groups.forget("g")
    with pytest.raises(GroupNotFound):
        bench.groups.status("g")
    assert bench.client.status("g--a").state == "succeeded"
    assert list(bench.redis.keys("*group*")) == []


def test_a_group_that_is_submitted_anew_counts_the_members_that_are_there(bench):
    bench.submit("ab")
    bench.succeed("a")
    bench.groups.cancel("g")
    bench.groups.forget("g")
    info = bench.submit("abc")
    assert numbers(info) == (0, 1, 1, 0, 1)


def test_status_says_which_is_oldest_and_what_the_failed_ones_say(bench):
    bench.submit("abcde")
    bench.fail("a", "b", why="no disk")
    bench.fail("c", why="no network")
    info = bench.groups.status("g")
    assert info.oldest == "d"
    assert [(each.error, each.count, each.keys) for each in info.failures] == [
        ("FailedByHand: no disk", 2, ["a", "b"]), ("FailedByHand: no network", 1, ["c"]),
    ]  # fmt: skip


def test_groups_are_listed_the_newest_first(bench):
    for name in ("g1", "g2"):
        bench.submit(group_id=name)
        bench.clock.advance(1)
    assert [info.id for info in bench.groups.list()] == ["g2", "g1"]


def test_counts_say_what_has_not_begun():
    assert Counts(10, live=2, succeeded=3, failed=1, refused=1).unbegun == 3


def test_a_member_is_as_a_submit_of_it_would_have_made_it(bench):
    """Each option of a run, whatever version adds one: the manifest keeps what a submit chooses."""
    options = {
        "headers": {"tenant": "acme"}, "tags": {"tenant": "acme"}, "queue": "slow", "lane": "acme",
        "priority": 3, "timeout": 60, "on_timeout": "end", "units": {"stripe": 2}, "delay": 5,
        "limits": {"stripe": "acme"}, "retry": RetryPolicy(max_attempts=2), "version": 4,
        "webhooks": ["https://example.com/told"],
    }  # fmt: skip
    bench.client.submit("etl", [1, {2, 3}], run_id="plain", **options)
    bench.groups.submit("g", {"a": RunSpec("etl", [1, {2, 3}], **options)})
    plain, member = (
        {**bench.redis.hgetall(bench.keys.run(run_id))} for run_id in ("plain", "g--a")
    )
    assert member.pop(b"group") == b"g"
    for row in (plain, member):
        del row[b"submit_id"], row[b"delivery"]
    assert member == plain
    of_both = [bench.redis.hgetall(bench.keys.run(each) + ":data") for each in ("plain", "g--a")]
    assert of_both[0] == of_both[1]
    bench.redis.flushall()


def test_a_group_whose_record_has_expired_is_listed_no_more(bench):
    bench.submit("a")
    bench.groups.cancel("g")
    assert 0 < bench.redis.ttl(bench.keys.group("g")) <= 7 * 86400
    bench.redis.delete(bench.keys.group("g"))
    assert bench.groups.list() == []
    assert bench.redis.zcard(bench.keys.groups) == 0
    bench.redis.flushall()


def test_what_nobody_finishes_to_write_is_forgotten_after_a_day(bench):
    """[K6]"""
    manifest = make_manifest("g", bench.members("ab"), bench.members("ab"), None, (), bench.env)
    group = replace(manifest.group, slices=2)
    call = write_slice(bench.keys, group, 0, b"names", b"specs", ttl_s=86400, due_at=1)
    assert bench.connection.call(call) == 1
    for part in ("", ":names", ":specs"):
        assert 0 < bench.redis.ttl(bench.keys.group("g") + part) <= 86400
    assert bench.due() == {}
    assert bench.groups.forget("g")


def test_two_that_retry_the_same_members_say_nothing_of_those_that_the_other_took_up(
    bench, caplog, monkeypatch
):
    """Both have read which have failed; one comes second to each."""
    bench.submit("ab")
    bench.fail("a", "b")
    bench.work()

    def retry_by_another(run_id, env):
        bench.client.retry(run_id)
        return retry(run_id, env)

    monkeypatch.setattr("stepflow.engine.groups.carry.retry", retry_by_another)
    bench.groups.retry_failed("g")
    assert "is not retried" not in caplog.text
    bench.succeed("a", "b")
    bench.work()
    assert numbers(bench.groups.status("g")) == (0, 0, 2, 0, 0)
