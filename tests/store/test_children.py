"""
submit_child, and what finish_run tells a family: guarded, told once, at most so many of a map at
work.
"""

from __future__ import annotations

import pytest

from stepflow.core.children import ChildGroup, Parent
from stepflow.core.run import Cleanup, RunState, StopKind, StopRequest
from stepflow.store.children import SpawnReply, load_answers, load_maps, settle_map, submit_child
from stepflow.store.family_update import family_update
from stepflow.store.hooks import HookJob
from stepflow.store.runs import Fence, finish_run, mark_run, park_run, retry_run
from stepflow.store.values.codec import pack

#: how children end in these tests
OK, BAD = RunState.SUCCEEDED, RunState.FAILED


class Family:
    """A parent that a worker holds, and its children."""

    def __init__(self, store) -> None:
        self.store, self.parent = store, store.held("p")

    def call(self, run_id="c", *, token=None, request=None, **options):
        child = self.store.run(run_id, queue="other")
        return submit_child(
            self.store.keys, child, self.parent, self.parent.token if token is None else token,
            request=request or f"r-{run_id}", data=["payload", pack(1)],
            **{"listed": True, **options},
        )  # fmt: skip

    def bear(self, run_id="c", **options):
        return self.store.connection.call(self.call(run_id, **options))

    def group(self, total, *, need=None, most_bad=0, limit=None):
        self.of = ChildGroup("m", total, total if need is None else need, most_bad, limit or total)
        for index in range(total):
            self.bear(self.of.child(index), group=self.of, index=index)

    def end(self, run_id="c", state=OK, *, index=None, outcome=b"x"):
        """End a child from outside."""
        store, run = self.store, self.store.load(run_id)
        parent = Parent("p", 0, "default", 1, index)
        kin = family_update(store.keys, run, parent, state, outcome)
        call = finish_run(
            store.keys,
            run,
            Fence("", f"e-{run.rev}"),
            state=state,
            now=store.now,
            ttl_s=100,
            update=kin,
        )
        answer = store.connection.call(call)
        assert store.connection.call(call) == [2], "a second arrival changes nothing"
        return answer

    def end_parent(self):
        store, run = self.store, self.store.load("p")
        fields = [
            "run",
            "p",
            "runner",
            "@webhook",
            "state",
            "pending",
            "delivery",
            "hook-p-stop",
            "rev",
            1,
        ]
        kin = family_update(
            store.keys, run, None, BAD, b"", HookJob("p-stop", "hook-p-stop", fields)
        )
        store.connection.call(
            finish_run(
                store.keys, run, store.fence(run), state=BAD, now=store.now, ttl_s=100, update=kin
            )
        )

    def answers(self, *names):
        return self.store.connection.call(load_answers(self.store.keys, self.parent, names))

    def children(self):
        return {item.decode() for item in self.store.client.smembers("stepflow:run:p:children:0")}

    def park(self):
        run = self.store.load("p")
        call = park_run(
            self.store.keys,
            run,
            self.store.fence(run),
            due_at=None,
            inbox=run.inbox,
            waits_for="",
            now=self.store.now,
        )
        assert self.store.connection.call(call) == [1]

    def at_work(self):
        """The runs of the map that wait for a worker."""
        return [
            entry.removeprefix("run-").removesuffix("-0") for entry in self.store.entries("other")
        ]


@pytest.fixture
def family(store):
    return Family(store)


def test_a_child_is_made_and_listed_and_its_parent_knows_that_it_has_some(family, store):
    """[F13] Also when the script comes a second time, or another worker asks for the same child."""
    rev = family.parent.rev
    assert family.bear() == SpawnReply("", rev + 1)
    before = store.dump()
    assert family.bear() == SpawnReply("", rev + 1)
    again = family.bear(request="another")
    assert (again.refused, again.rev, (again.there or {})[b"runner"]) == ("", rev + 1, b"x")
    assert store.dump() == before
    assert store.load("p").has_children
    assert family.children() == {"c"}
    assert store.entries("other") == ["run-c-0"]


def test_a_child_that_is_asked_for_again_after_its_end_is_not_listed_again(family):
    """
    [F14] Its parent's worker was lost before it remembered the child; nobody would ever take it off
    the list.
    """
    family.bear()
    family.end()
    family.bear(request="another")
    assert family.children() == set()


def test_a_child_left_to_itself_is_not_listed(family):
    """[F14]"""
    family.bear(listed=False)
    assert family.children() == set()


def test_a_child_is_made_under_the_claim_of_its_parent_only(family, store):
    """[F13] A worker left behind makes none."""
    before = store.dump()
    assert family.bear(token="w0.1.") == SpawnReply("lost")
    assert store.dump() == before


def test_a_parent_that_was_asked_to_stop_makes_no_child(family, store):
    """[F14]"""
    stop = StopRequest(StopKind.CANCEL, "why", store.now)
    store.connection.call(
        mark_run(store.keys, store.load("p"), stop, request="r", look_again_at=None, now=store.now)
    )
    before = store.dump()
    assert family.bear() == SpawnReply("stopped")
    assert store.dump() == before


def test_an_end_is_told_to_a_parent_that_waits_which_is_handed_over(family, store):
    """[F13] In the same write; a parent that does not wait only finds it."""
    family.bear("c")
    family.bear("d")
    family.end("c")
    assert family.answers("c", "d") == [b"0|x", None]
    assert family.children() == {"d"}
    assert store.load("p").inbox == 1
    assert store.entries() == []
    family.park()
    family.end("d", BAD)
    assert family.answers("d") == [b"0|x"]
    assert store.entries() == ["run-p-1"]
    assert store.load("p").state is RunState.PENDING


def test_a_parent_that_waits_for_its_time_alone_is_left_alone(family, store):
    """[F13]"""
    family.bear()
    run = store.load("p")
    store.connection.call(
        park_run(
            store.keys,
            run,
            store.fence(run),
            due_at=store.now + 60,
            inbox=None,
            waits_for="",
            now=store.now,
        )
    )
    family.end()
    assert store.entries() == []
    assert store.load("p").state is RunState.WAITING


def test_an_end_after_a_revival_is_told_no_more(family, store):
    """[F13]"""
    family.bear()
    family.end("c", BAD, outcome=b"first")
    run = store.load("c")
    store.connection.call(retry_run(store.keys, run, request="again", now=store.now))
    family.end("c", OK, outcome=b"second")
    assert family.answers("c") == [b"0|first"]
    assert store.load("p").inbox == 1


def test_a_parent_of_another_generation_or_one_that_is_gone_is_told_nothing(family, store):
    """[F13]"""
    family.bear("c")
    family.bear("d")
    store.client.hset("stepflow:run:p", "generation", "1")
    family.end("c")
    assert family.answers("c") == [None]
    for key in store.client.scan_iter("stepflow:run:p*"):
        store.client.delete(key)
    family.end("d")
    assert not list(store.client.scan_iter("stepflow:run:p*"))
    store.client.flushall()  # what stood for the parent is still there


def test_an_ended_parent_is_told_too_and_what_it_is_told_goes_with_it(family, store):
    """[F14] A revival needs it; `retry_run` keeps it."""
    family.bear()
    family.end_parent()
    assert 0 < store.client.ttl("stepflow:run:p:children:0") <= 100
    family.end()
    assert family.answers("c") == [b"0|x"]
    assert 0 < store.client.ttl("stepflow:run:p:answers:0") <= 100
    store.connection.call(retry_run(store.keys, store.load("p"), request="again", now=store.now))
    assert store.client.ttl("stepflow:run:p:answers:0") == -1


@pytest.mark.parametrize("lives", [True, False])
def test_the_end_of_a_run_leaves_a_delivery_that_stops_its_children_where_some_live(
    family, store, lives
):
    """[F14]"""
    family.bear()
    if not lives:
        family.end()
    family.end_parent()
    assert store.entries("stepflow.hooks") == (["hook-p-stop"] if lives else [])
    assert store.client.exists("stepflow:hook:p-stop", "rq:job:hook-p-stop") == (2 if lives else 0)


def test_a_map_is_settled_once_by_the_end_that_meets_its_policy(family, store):
    """[F13]"""
    family.group(4, need=2, most_bad=2)
    family.end("m-3", BAD, index=3)
    family.end("m-2", OK, index=2)
    assert family.answers("m", "m-3", "m-2") == [None, b"1|x", b"1|x"]
    assert store.load("p").inbox == 0, "the parent is not woken before"
    family.end("m-0", OK, index=0)
    assert family.answers("m", "m-0") == [b"2|1", b"2|x"]
    assert store.load("p").inbox == 1
    assert store.connection.call(load_maps(store.keys, family.parent)) == {}
    family.end("m-1", OK, index=1)
    assert family.answers("m", "m-1") == [b"2|1", b"0|x"], "counted no more"
    assert store.load("p").inbox == 2, "the parent waits for the rest"


@pytest.mark.parametrize(
    ("need", "most_bad", "ends", "settled"),
    [
        (3, 0, [OK, OK, OK], b"3|0"),
        (3, 0, [OK, BAD], b"1|1"),
        (4, 3, [BAD, OK, BAD], b"1|2"),
        (1, 2, [BAD, BAD, BAD], b"0|3"),
    ],
)
def test_a_map_is_settled_when_its_policy_is_met_or_can_no_longer_be_or_all_have_ended(
    family, need, most_bad, ends, settled
):
    """[F13]"""
    family.group(3, need=need, most_bad=most_bad)
    for index, state in enumerate(ends):
        assert family.answers("m") == [None]
        family.end(f"m-{index}", state, index=index)
    assert family.answers("m") == [settled]


def test_of_a_map_with_a_limit_each_end_begins_one_more(family, store):
    """[F13] In the order of the items."""
    family.group(5, limit=2)
    assert family.at_work() == ["m-0", "m-1"]
    assert store.load("m-2").state is RunState.WAITING
    for index in (1, 0, 2):
        family.end(f"m-{index}", index=index)
    assert family.at_work() == ["m-0", "m-1", "m-2", "m-3", "m-4"]
    assert store.load("m-4").state is RunState.PENDING


def test_the_end_of_a_child_that_waited_for_its_turn_begins_nobody_and_it_is_passed_over(family):
    """[F13] Else more than the limit would be at work."""
    family.group(5, need=6, most_bad=5, limit=1)
    family.end("m-2", BAD, index=2)
    family.end("m-1", BAD, index=1)
    assert family.at_work() == ["m-0"]
    family.end("m-0", index=0)
    assert family.at_work() == ["m-0", "m-3"]


def test_a_child_made_after_its_turn_came_begins_at_once(family):
    """[F13] The others had ended while the batch was being made."""
    of = ChildGroup("m", 3, 3, 0, 1)
    family.bear("m-0", group=of, index=0)
    family.end("m-0", index=0)
    assert [family.bear(f"m-{index}", group=of, index=index).refused for index in (1, 2)] == [
        "",
        "",
    ]
    assert family.at_work() == ["m-0", "m-1"]


def test_a_second_arrival_does_not_hold_a_child_that_was_released(family, store):
    """[F13]"""
    of = ChildGroup("m", 2, 2, 0, 1)
    family.bear("m-0", group=of, index=0)
    call = family.call("m-1", group=of, index=1)
    store.connection.call(call)
    family.end("m-0", index=0)
    before = store.dump()
    store.connection.call(call)
    assert store.dump() == before


def test_a_settled_map_makes_no_more_children_and_begins_none(family, store):
    """[F13]"""
    of = ChildGroup("m", 4, 4, 0, 1)
    for index in range(3):
        family.bear(f"m-{index}", group=of, index=index)
    family.end("m-0", BAD, index=0)
    assert family.at_work() == ["m-0"]
    assert family.bear("m-3", group=of, index=3) == SpawnReply("settled")
    assert store.load("m-3") is None


def test_a_parent_that_was_asked_to_stop_begins_no_more_of_those_that_wait(family, store):
    """[F14]"""
    family.group(3, limit=1)
    stop = StopRequest(StopKind.CANCEL, "why", store.now)
    store.connection.call(
        mark_run(store.keys, store.load("p"), stop, request="r", look_again_at=None, now=store.now)
    )
    family.end("m-0", index=0)
    assert family.at_work() == ["m-0"]


def test_the_first_birth_moves_rev_so_that_an_outsider_who_has_not_seen_it_decides_again(
    family, store
):
    """[F14] Else a run could be ended from outside without its children being stopped."""
    seen = store.load("p")
    family.bear()
    end = finish_run(store.keys, seen, Fence("", "out"), state=BAD, now=store.now, ttl_s=100)
    assert store.connection.call(end)[0] == 0
    family.parent = store.load("p")
    assert family.bear("d").rev == family.parent.rev, "only the first one does"


def test_a_parent_has_something_left_to_do_from_its_first_child_on_that_ends_with_it(family, store):
    """[F14] A stop hands it over then, to stop them before it ends."""
    family.bear("a", listed=False)
    assert store.load("p").cleanup is Cleanup.NONE
    rev = family.bear("b").rev
    assert (store.load("p").cleanup, store.load("p").rev) == (Cleanup.NEEDED, rev)
    store.client.hset("stepflow:run:p", "cleanup", int(Cleanup.STARTED))
    assert family.bear("c").rev == rev
    assert store.load("p").cleanup is Cleanup.STARTED


def test_a_parent_that_waits_for_its_children_to_be_gone_hears_of_the_last(family, store):
    """[F14] However many there are; none of those that wait for their turn begins."""
    family.group(4, need=5, most_bad=4, limit=1)
    store.client.hset("stepflow:run:p", "cleanup", int(Cleanup.STARTED))
    for index in (3, 0, 1):
        family.end(f"m-{index}", BAD, index=index)
        assert store.load("p").inbox == 0
    assert family.at_work() == ["m-0"]
    family.end("m-2", BAD, index=2)
    assert store.load("p").inbox == 1


def test_a_map_whose_time_is_up_is_settled_as_it_stands(family, store):
    """[K1] Once, under the claim; a child that ends later counts no more."""

    def settle(token=None):
        token = family.parent.token if token is None else token
        return store.connection.call(settle_map(store.keys, family.parent, token, "m"))

    family.group(4, need=4, most_bad=3)
    family.end("m-3", BAD, index=3)
    family.end("m-1", OK, index=1)
    assert settle("another") is None, "the claim is not the caller's"
    assert family.answers("m") == [None]
    assert settle() == b"1|1"
    family.end("m-0", OK, index=0)
    assert settle() == b"1|1", "a second arrival finds it settled"
    assert family.answers("m", "m-0", "m-1") == [b"1|1", b"0|x", b"1|x"]
    assert store.connection.call(load_maps(store.keys, family.parent)) == {}
    assert store.connection.call(family.call("m-2", group=family.of, index=2)).refused == "settled"


def test_a_map_settled_by_its_last_child_is_not_settled_again_by_its_time(family, store):
    """[K1]"""
    family.group(1)
    family.end("m-0", OK, index=0)
    call = settle_map(store.keys, family.parent, family.parent.token, "m")
    assert store.connection.call(call) == b"1|0"
