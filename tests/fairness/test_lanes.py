"""Lanes take turns: what the scripts do, one claim at a time."""

import random
from collections import Counter

import pytest

from stepflow.core.run import Priority, RunState
from stepflow.store.claims import claim_one
from stepflow.store.maintenance import move_due
from stepflow.store.run_hash import format_time


@pytest.fixture
def narrow(bench):
    """A bench whose RQ list has one entry at a time, so that claims show the turns."""
    bench.redis.hset(bench.keys.fair, "default", 1)
    return bench


def lanes_of(ids):
    return [run_id.partition("-")[0] for run_id in ids]


def test_a_tenant_with_much_leaves_every_other_turn_to_one_with_little(narrow):
    """[L12]"""
    narrow.fill(heavy=30, light=4)
    order = lanes_of(narrow.drain())
    assert order[2:11] == ["heavy", "light"] * 4 + ["heavy"]
    assert len(order) == 34


def test_a_lane_is_first_in_first_out_and_all_its_runs_come_once(narrow):
    """[L12]"""
    narrow.fill(a=20, b=10, c=5)
    order = narrow.drain(3)
    assert len(set(order)) == len(order) == 35
    for lane in "abc":
        numbers = [int(each.partition("-")[2]) for each in order if each.startswith(lane)]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("limit", [1, 5])
def test_weights_are_shares(narrow, limit):
    """[L13] 1:3, to 5 % over forty turns and more."""
    narrow.redis.hset(narrow.keys.fair, "default|big", 3)
    narrow.fill(small=60, big=120)
    narrow.claim(5)  # the small one was there first, alone
    taken = Counter[str]()
    for _ in range(120 // limit):
        taken.update(lanes_of(narrow.claim(limit)))
        if taken.total() >= 40:
            assert taken["big"] == pytest.approx(3 * taken["small"], rel=0.05, abs=4)


def test_an_idle_lane_saves_no_credit(narrow):
    """[L13] Whoever comes after an hour gets its turns, and none of those it did not take."""
    narrow.fill(late=1)
    narrow.claim()
    narrow.fill(busy=60)
    for _ in range(25):
        narrow.claim()
    narrow.fill(late=20)
    order = lanes_of(narrow.drain())
    assert max(Counter(order[start : start + 4])["late"] for start in range(36)) <= 2


def test_who_submits_one_at_a_time_gets_no_more_than_its_turn(narrow):
    """[L13] Leaving the queue each time earns nothing either."""
    narrow.fill(busy=50)
    taken = []
    for number in range(30):
        narrow.submit(f"trickle-{number}", "trickle")
        taken += lanes_of(narrow.claim())
    assert taken.count("busy") >= 13


def test_a_stream_of_new_tenants_starves_nobody(narrow):
    """[L13] A lane that waits has its turn though others are always new."""
    narrow.fill(zz=10)
    taken = []
    for number in range(60):
        narrow.submit(f"a{number}-0", f"a{number}")
        narrow.submit(f"b{number}-0", f"b{number}")
        taken += narrow.claim()
    assert len([each for each in taken if each.startswith("zz")]) >= 5


def test_priority_goes_before_turns_and_holds_within_a_lane(narrow):
    """[L15] Strict: what is urgent goes first, whose ever it is."""
    for lane in ("a", "b"):
        for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH):
            for number in range(3):
                narrow.submit(f"{lane}-{priority.name}-{number}", lane, priority=priority)
    order = narrow.drain()
    assert [each.split("-")[1] for each in order] == ["HIGH"] * 6 + ["NORMAL"] * 6 + ["LOW"] * 6
    assert [each for each in order if each.startswith("a-HIGH")] == [
        f"a-HIGH-{n}" for n in range(3)
    ]
    assert lanes_of(order[2:6]) != ["a", "a", "b", "b"]


def test_a_queue_with_lanes_leaves_others_and_runs_without_a_lane_alone(bench):
    """[L12] These stand in the RQ list as ever, whatever waits in lanes."""
    bench.fill(a=100)
    bench.submit("plain")
    assert bench.window() == [*(f"a-{number}" for number in range(8)), "plain"]
    assert bench.redis.zcard(bench.keys.lane("default", "a")) == 92


def test_the_window_is_full_as_long_as_lanes_hold_enough(bench):
    """[L12] A stock worker that pops an entry finds the next; `rq info` shows them."""
    bench.fill(a=20, b=3)
    while (left := 23 - len(bench.claim(3))) and bench.redis.exists(bench.keys.laned):
        held = sum(bench.redis.zcard(bench.keys.lane("default", lane)) for lane in "ab")
        assert len(bench.window()) == 8 or not held
        assert left


def test_a_worker_takes_its_share_of_what_the_lanes_hold(bench):
    """[L12] One with many free slots is not held up by a small window."""
    bench.fill(a=100)
    assert len(bench.claim(40)) == 40
    assert len(bench.claim(40, live_workers=4)) == 10


def test_what_comes_due_later_waits_in_its_lane_then(narrow):
    """[L12]"""
    narrow.submit("a-late", "a", due_in=5.0)
    narrow.fill(b=5)
    narrow.clock.advance(6)
    narrow.connection.call(
        move_due(narrow.keys, given=format_time(narrow.clock.now()), now=narrow.clock.now())
    )
    assert narrow.redis.zrange(narrow.keys.lane("default", "a"), 0, -1) == [b"run:a-late"]
    assert "a-late" in narrow.drain()[:3]


def test_a_next_step_waits_at_the_end_of_its_lane(narrow):
    """[L12] A long chain of one tenant takes a turn for each hand-over."""
    narrow.fill(a=3, b=3)
    [first] = narrow.claim()
    narrow.give_back(first)
    order = narrow.drain()
    assert order[-1] in {first, "b-2"}
    assert [each for each in order if each.startswith("a")] == ["a-1", "a-2", first]


def test_runs_that_wait_no_more_cost_their_lane_no_turn(narrow):
    """[L12] As when a record is gone, or its run is claimed another way."""
    narrow.fill(a=40, b=4)
    for number in range(3, 39):
        key = narrow.keys.run(f"a-{number}")
        narrow.redis.hset(key, mapping={"delivery": "", "ended": "1", "state": "cancelled"})
    order = narrow.drain()
    assert [each for each in order if each.startswith("a")] == ["a-0", "a-1", "a-2", "a-39"]
    assert len(order) == 8
    narrow.redis.flushall()


def test_a_paused_queue_gives_nothing_and_its_lanes_wait(narrow):
    """[L12]"""
    narrow.fill(a=3)
    narrow.redis.hset(narrow.keys.paused_queues, "default", "x")
    assert narrow.claim(5) == []
    narrow.redis.delete(narrow.keys.paused_queues)
    assert len(narrow.drain()) == 3


def test_when_all_is_done_no_key_is_left(narrow):
    """[L21] Nothing of ten thousand tenants that are through."""
    for number in range(100):
        narrow.submit(f"t{number}-0", f"t{number}")
    narrow.drain(7)
    narrow.claim(7)
    kept = [key for key in narrow.redis.scan_iter() if b":lane" in key]
    assert kept == []


def test_a_round_fills_the_window_where_only_stock_workers_claim(bench):
    """[L14]"""
    bench.fill(a=20)
    bench.redis.lpop(bench.keys.rq_list("default"), 8)
    bench.scan()
    assert len(bench.window()) == 8


def test_a_stock_worker_that_claims_one_brings_the_next_into_the_list(narrow):
    """[L12] It has taken the entry out before."""
    narrow.fill(a=3)
    keys = narrow.keys
    rq_id = narrow.redis.lpop(keys.rq_list("default")).decode()
    call = claim_one(
        keys, "run:a-0", rq_id, "w.0.", "default", given=narrow.clock.given, lease_s=15.0
    )
    assert narrow.connection.call(call).token == "w.0."
    assert narrow.window() == ["a-1"]


def test_a_run_that_no_lane_leads_to_is_put_back_by_a_round(bench):
    """[L14] The lanes of a queue are lost, or a lane as a whole."""
    bench.fill(a=20, b=20)
    bench.redis.delete(bench.keys.lanes("default"), bench.keys.laned)
    bench.redis.delete(bench.keys.lane("default", "b"))
    restored, _ = bench.rounds()
    assert set(restored) == {f"b-{number}" for number in range(20)}
    assert set(bench.lanes()) == {b"a"}
    assert set(bench.drain(5)) == {f"a-{number}" for number in range(20)}
    _, missing = bench.rounds(1)
    assert set(missing) == set(restored)  # the worker hands these over again


@pytest.mark.parametrize("name", ["lanes", "lane", "laned", "fair"])
def test_keys_of_another_type_stop_nobody(bench, name):
    """[L14]"""
    keys = bench.keys
    bench.fill(a=10)
    key = {"lanes": keys.lanes("default"), "lane": keys.lane("default", "a"), "laned": keys.laned,
           "fair": keys.fair}[name]  # fmt: skip
    bench.redis.delete(key)
    bench.redis.set(key, "x")
    bench.submit("a-10", "a")
    bench.submit("b-0", "b")
    taken = bench.drain(3)
    _, missing = bench.rounds()
    taken += bench.drain(3)
    assert {*taken, *missing} == {*(f"a-{number}" for number in range(11)), "b-0"}
    bench.redis.flushall()


def test_whatever_comes_in_whatever_order_every_run_is_claimed_once(bench):
    """[L12] Runs of lanes and of none, of each priority, now and later, by workers of any size."""
    dice = random.Random(4)
    made, taken = [], []
    for number in range(200):
        lane = dice.choice(["", "a", "b", "c", f"n{number % 17}"])
        priority = dice.choice(list(Priority))
        bench.submit(f"r{number}", lane, priority=priority, due_in=dice.choice([0, 0, 0, 3.0]))
        made.append(f"r{number}")
        if not number % 9:
            bench.clock.advance(1)
            now = bench.clock.now()
            bench.connection.call(move_due(bench.keys, given=format_time(now), now=now))
            taken += bench.claim(dice.choice([1, 3, 20]), live_workers=dice.choice([1, 3]))
            bench.scan()
    bench.clock.advance(10)
    now = bench.clock.now()
    while bench.connection.call(move_due(bench.keys, given=format_time(now), now=now)).moved:
        pass
    taken += bench.drain(10)
    assert sorted(taken) == sorted(made)
    assert all(bench.run(run_id).state is RunState.RUNNING for run_id in made)
