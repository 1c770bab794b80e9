"""
Priorities without a name that nobody uses any more are forgotten, and no run with them.

Each way in which a run waits keeps its priority in use, and each way in which it comes back into
its queue has workers claim from that again, as of their next round.
"""

import pytest

from stepflow.core.limits.use import LimitUse, write_uses
from stepflow.core.limits.values import LimitValues
from stepflow.core.run import Run, RunState
from stepflow.store.claims import hand_on
from stepflow.store.limits.hash import declare_limits
from stepflow.store.maintenance import move_due
from stepflow.store.runs import Fence, finish_run, submit_run
from stepflow.store.values.codec import pack
from tests.fairness.conftest import Bench
from tests.limits.test_orderings import Altered

QUEUE = "default.level7"
MARK = f"stepflow:level:{QUEUE}"


class Levels(Bench):
    """Runs of priority 7, and a worker that knows of what its last round told of."""

    known: frozenset[str] = frozenset()

    def round(self):
        self.known = self.scan().levels
        return self.known

    def begin(self, run_id="a", **options):
        self.submit(run_id, priority=7, **options)
        self.round()
        assert self.claim(5, levels=self.known) == [run_id]

    def pass_time(self):
        """Have it be long ago that anything came."""
        self.redis.delete(MARK)

    def forget(self):
        self.pass_time()
        assert self.round() == frozenset()
        assert not self.redis.exists(self.keys.levels)

    def limited(self, run_id, priority):
        run = Run(run_id, "x", "default", priority, delivery=f"run-{run_id}-0", digest=b"d",
                  created_at=self.clock.now(), limits=write_uses([LimitUse("one")]))  # fmt: skip
        self.connection.call(submit_run(self.keys, run, request="r", data=["payload", pack(1)]))

    def end(self, run_id):
        run = self.run(run_id)
        fence = Fence(run.token, str(run.step), f"{run.token} ok" if run.token else "r")
        self.connection.call(
            finish_run(self.keys, run, fence, state=RunState.SUCCEEDED, now=self.clock.now(),
                       ttl_s=60)
        )  # fmt: skip


@pytest.fixture
def levels(link_to_real, real, keys, clock):
    clock.advance(1_800_000_000 - clock.now())
    yield Levels(link_to_real, real, keys, clock)
    real.flushdb()  # runs stand as they do after a fault


# how a run comes back into a queue whose priority was forgotten


def by_a_submit(bench):
    bench.begin("z")
    bench.end("z")
    bench.forget()
    bench.submit("a", priority=7)


def by_its_next_step(bench):
    bench.begin()
    bench.forget()
    bench.give_back("a")


def by_its_time(bench):
    bench.begin()
    bench.give_back("a", state=RunState.SCHEDULED, due_at=bench.clock.now() + 60)
    bench.forget()
    bench.clock.advance(61)
    bench.connection.call(move_due(bench.keys, given=bench.clock.given, now=bench.clock.now()))


def by_its_turn_in_a_line(bench):
    bench.connection.call(declare_limits(bench.keys, {"one": LimitValues(concurrency=1)}, {}))
    bench.limited("z", 5)
    assert bench.claim() == ["z"]
    bench.limited("a", 7)
    assert bench.claim(levels=bench.round()) == []
    bench.forget()
    bench.end("z")


WAYS = [by_a_submit, by_its_next_step, by_its_time, by_its_turn_in_a_line]

# how a run stands in one that nobody has used for long


def in_its_queue(bench):
    bench.submit("a", priority=7)


def in_a_queue_that_has_lost_its_entry(bench):
    bench.submit("a", priority=7)
    bench.redis.delete(bench.keys.rq_list(QUEUE))


def in_the_list_of_a_build(bench):
    bench.begin()
    run = bench.run("a")
    bench.connection.call(
        hand_on(
            bench.keys, run, Fence(run.token, str(run.step), f"{run.token} ok"), build="x@2",
            tried="x@1", now=bench.clock.now(),
        )
    )  # fmt: skip


def in_a_lane(bench):
    bench.submit("a", "acme", priority=7)
    bench.redis.delete(bench.keys.rq_list(QUEUE), bench.keys.queued_at(QUEUE))


STANDS = [in_its_queue, in_a_queue_that_has_lost_its_entry, in_the_list_of_a_build, in_a_lane]


def check_way(bench, way):
    way(bench)
    bench.round()
    assert bench.claim(5, levels=bench.known) == ["a"]
    bench.end("a")


def check_stand(bench, stand):
    stand(bench)
    bench.pass_time()
    bench.redis.delete(bench.keys.live)  # the page of a round that goes by others
    assert bench.round() == {QUEUE}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_found_after_its_priority_was_forgotten(levels, way):
    """[K16]"""
    check_way(levels, way)


@pytest.mark.parametrize("stand", STANDS)
def test_a_priority_in_which_one_waits_is_not_forgotten(levels, stand):
    """[K16]"""
    check_stand(levels, stand)


def test_one_that_was_used_of_late_is_kept(levels):
    """[K16] What comes once a day is not late for it."""
    levels.begin()
    levels.end("a")
    assert levels.round() == {QUEUE}
    assert levels.redis.ttl(MARK) > 86_400
    levels.forget()


def test_what_a_process_of_the_version_before_put_there_is_found(levels):
    """It tells of a priority at the submit only."""
    levels.submit("a", priority=7)
    levels.redis.delete(levels.keys.levels, MARK)
    levels.redis.sadd(levels.keys.levels, "default.level0")
    levels.round()
    assert QUEUE in levels.round()


NOTE = "note_level(string.match(queued_at, '^(.*):queued_at:'), string.sub(list, #list_of('') + 1))"
GUARDS = [
    (NOTE, "", check_way, by_a_submit),
    (NOTE, "", check_way, by_its_next_step),
    (NOTE, "", check_way, by_its_time),
    ("note_level(at.ns, queue)", "", check_way, by_its_turn_in_a_line),
    ("list_of(queue), queued_at_of(ns, queue),", "", check_stand, in_its_queue),
    ("queued_at_of(ns, queue),", "", check_stand, in_a_queue_that_has_lost_its_entry),
    (",\n      lanes_of(ns, queue)) == 0", ") == 0", check_stand, in_a_lane),
    ("string.match(list, '^[^|]*') == queue", "false", check_stand, in_the_list_of_a_build),
]  # fmt: skip


@pytest.mark.parametrize(("text", "instead", "check", "move"), GUARDS)
def test_without_its_guard_a_run_stands_unseen(
    link_to_real, real, keys, clock, text, instead, check, move
):
    """[K16] Negative control of those above."""
    link = Altered(link_to_real, text, instead)
    with pytest.raises(AssertionError):
        check(Levels(link, real, keys, clock), move)
    real.flushdb()
