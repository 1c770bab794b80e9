"""What an index loses is put back from the records, a small page of the live runs in each round."""

import pytest

from stepflow.core.children import Parent
from stepflow.core.run import Run, RunState
from stepflow.store.children import load_answers, tell_gone
from stepflow.store.family_update import family_update
from stepflow.store.keys import LIVE
from stepflow.store.values.codec import pack
from tests.store.test_keeping import look


@pytest.fixture(autouse=True)
def forget(redis_client):
    """Leave nothing behind: half records have no time to live."""
    yield
    redis_client.flushall()


def rounds(store, count=310):
    """Make rounds for more than a cycle of five minutes; gives the runs that were put back."""
    found = []
    for _ in range(count):
        store.clock.advance(1)
        found += look(store).restored
    return found


@pytest.mark.parametrize("index", ["claims", "due", "deadlines"])
def test_something_else_in_the_place_of_an_index_is_replaced_and_the_index_brought_back(
    store, keys, index
):
    """[B12] [B19]"""
    store.submit("a", due_in=5000.0, timeout=9000.0)
    store.client.delete(getattr(keys, index))
    store.client.set(getattr(keys, index), "x")
    found = look(store)
    assert found.strays == [f"{getattr(keys, index)} as a whole"]
    assert found.restored == ([] if index == "claims" else ["a"])
    assert store.client.type(getattr(keys, index)) == (b"none" if index == "claims" else b"zset")


@pytest.mark.parametrize("lost", ["due", "deadlines"])
def test_a_due_time_and_a_deadline_that_were_lost_are_put_back(store, keys, lost):
    """[B19]"""
    store.submit("a", due_in=5000.0, timeout=9000.0)
    before = store.dump()
    store.client.delete(getattr(keys, lost))
    assert look(store).restored == ["a"]
    assert store.dump()[getattr(keys, lost).encode()] == before[getattr(keys, lost).encode()]
    assert look(store).restored == []


def test_a_claim_that_was_lost_is_put_back_with_a_lease_from_now_and_lapses_then(store, keys):
    """[B19]"""
    run = store.held("a")
    store.client.delete(keys.claims)
    assert look(store).restored == ["a"]
    assert store.client.zscore(keys.claims, "run:a") == pytest.approx(store.now + 15)
    assert store.load().token == run.token
    store.clock.advance(16)
    assert look(store).lapsed == ["run:a"]


def test_a_pending_run_that_stands_in_no_queue_goes_the_way_of_a_lost_delivery(store, keys):
    """[B19]"""
    store.submit("a")
    for key in (keys.queued_at("default"), keys.rq_list("default")):
        store.client.delete(key)
    assert look(store).restored == ["a"]
    store.clock.advance(2)
    assert look(store).missing == ["run:a"]


@pytest.mark.crash
def test_every_live_run_is_come_by_in_five_minutes_whoever_the_workers_are(store, keys):
    """[B19]"""
    for number in range(400):
        store.submit(f"r{number}", due_in=5000.0)
    store.client.delete(keys.due)
    found = []
    for _ in range(310):
        store.clock.advance(1.1)
        for worker in ("w1", "w2", "w3"):
            found += look(store, worker).restored
        if len(found) == 400:
            break
    assert len(found) == len(set(found)) == 400


@pytest.mark.parametrize("written", ["nan", "1e999", "-inf", "0x10", "1.2.3", "", " 7"])
@pytest.mark.parametrize("field", ["created", "due", "deadline"])
def test_one_that_says_no_time_keeps_nobody_from_the_indexes(store, keys, field, written):
    """[B12] Was: the round was cut short, again and again."""
    for run_id in ("bad", "good"):
        store.submit(run_id, due_in=5000.0, timeout=9000.0)
    store.client.hset(keys.run("bad"), field, written)
    indexes = [keys.runner_index(LIVE, "x"), keys.due, keys.deadlines]
    store.client.delete(*indexes)
    assert sorted(look(store).restored) == ["bad", "good"]
    of_bad = {"created": 0, "due": 1, "deadline": 2}[field]
    for number, index in enumerate(indexes):
        kept = {
            member.decode().removeprefix("run:") for member in store.client.zrange(index, 0, -1)
        }
        assert kept == ({"good"} if number == of_bad else {"good", "bad"})


@pytest.mark.parametrize("redis_client", ["real"], indirect=True)
def test_runs_that_wait_cost_a_round_two_commands_each(store, keys):
    """Of the fake server nobody knows what it does."""

    def cost():
        before = store.client.info("commandstats")
        look(store)
        after = store.client.info("commandstats")
        return {
            name.removeprefix("cmdstat_"): stat["calls"] - before.get(name, {"calls": 0})["calls"]
            for name, stat in after.items()
        }

    for number in range(20):
        store.submit(f"r{number}", due_in=5000.0, runner=f"x{number % 2}")
    look(store)
    of_twenty = cost()
    store.client.delete(keys.live)
    of_none = cost()
    more = {name: of_twenty[name] - of_none.get(name, 0) for name in of_twenty}
    assert {name: count for name, count in more.items() if count} == {
        "hmget": 20,
        "zadd": 20 + 2,
        "zrange": 2,
    }


def test_what_is_where_it_should_be_is_left_alone(store, keys):
    """
    [B19] Also what is set aside, and what stands in no index for it waits for nothing but
    somebody's word.
    """
    for run_id, options in (
        ("later", {"due_in": 5000.0}),
        ("now", {}),
        ("timed", {"timeout": 5000.0}),
    ):
        store.submit(run_id, **options)
    store.client.hset(keys.run("timed"), mapping={"state": "paused", "delivery": ""})
    store.client.zrem(keys.deadlines, "timed")
    assert rounds(store, 3) == []


def test_a_live_run_whose_record_is_gone_leaves_the_index_and_a_key_of_another_type_stays(
    store, keys
):
    """[B19]"""
    store.client.zadd(keys.live, {"gone": 1.0, b"\xff": 2.0, "odd": 3.0})
    store.client.set(keys.run("odd"), "x")
    strays = [stray for _ in range(310) for stray in tick(store).strays]
    assert sorted(strays) == ["stepflow:idx:live \\xff", "stepflow:idx:live gone"]
    assert store.client.zrange(keys.live, 0, -1) == [b"odd"]


def tick(store):
    store.clock.advance(1)
    return look(store)


# ---- children


def parented(store, keys, children=("c",)):
    """A parent that waits for the children on its list."""
    store.submit("p")
    store.claim()
    store.client.hset(
        keys.run("p"),
        mapping={
            "children": 1,
            "state": "waiting",
            "parked": "inbox",
            "token": "",
            "claimed_id": "",
            "delivery": "run-p-1",
        },
    )
    store.client.zrem(keys.claims, "run:p")
    store.client.sadd(f"{keys.run('p')}:children:0", *children)


def tell(store, keys, child, index=None):
    parent = Parent("p", 0, "default", 1, index)
    kin = family_update(
        keys, Run(child, "x"), parent, RunState.FAILED, b"failed|" + pack(["RecordGone", "gone"])
    )
    return store.connection.call(tell_gone(keys, child, kin, now=store.now))


def test_a_child_whose_record_is_gone_is_told_of_once_and_wakes_its_parent(store, keys):
    """[B31]"""
    parented(store, keys)
    assert look(store).orphans == [("p", "c")]
    assert tell(store, keys, "c")
    run = store.load("p")
    assert (run.state, run.inbox) == ("pending", 1)
    [answer] = store.connection.call(load_answers(keys, run, ["c"]))
    assert answer.startswith(b"0|failed|")
    before = store.dump()
    assert not tell(store, keys, "c")
    assert store.dump() == before
    assert look(store).orphans == []


def test_a_child_that_is_there_is_never_told_of(store, keys):
    """
    [B31] The round saw that it was not there; it is made meanwhile, again, or has ended in its own
    way.
    """
    parented(store, keys)
    assert look(store).orphans == [("p", "c")]
    store.submit("c")
    before = store.dump()
    assert not tell(store, keys, "c")
    assert store.dump() == before
    assert look(store).orphans == []
    store.client.delete(keys.run("c"))
    store.client.srem(f"{keys.run('p')}:children:0", "c")
    assert not tell(store, keys, "c")


def test_a_child_of_a_map_that_is_gone_counts_and_makes_room_for_the_next(store, keys):
    """
    [B31] The one after it in the map may be gone as well: the map passes that by once it was told
    of.
    """
    parented(store, keys, ["m-0", "m-1", "m-2"])
    store.client.hset(f"{keys.run('p')}:maps:0", mapping={"m.goal": "4|3|3", "m.next": "1"})
    store.submit("m-2")
    held = {"state": "waiting", "parked": "limit", "delivery": "run-m-2-0"}
    store.client.hset(keys.run("m-2"), mapping=held)
    store.client.delete(keys.rq_list("default"), keys.queued_at("default"))
    found = {orphan for _ in range(310) for orphan in tick(store).orphans}
    assert found == {("p", "m-0"), ("p", "m-1")}
    assert tell(store, keys, "m-1", 1)
    assert store.load("p").state == "waiting"
    assert tell(store, keys, "m-0", 0)
    assert store.entries() == ["run-m-2-0"]
    assert store.client.hget(f"{keys.run('p')}:maps:0", "m.bad") == b"2"
