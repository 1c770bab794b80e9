"""Why a schedule stands where it stands, and the doctor, who puts lost ones back."""

import pytest

from stepflow import ScheduleNotFound, ScheduleState
from stepflow.engine.doctor.schedules import lost_schedules, mend_schedule
from stepflow.engine.doctor.search import strays
from stepflow.store.connection.sync import carry_out
from tests.schedules.conftest import BEGIN
from tests.schedules.test_declared import an_app, start


def why(bench, words, command):
    seen = bench.schedules.why("s")
    assert words in seen.sentence
    assert command in seen.commands
    return seen.state


def test_a_schedule_says_why_it_stands(bench):
    """[T19]"""
    bench.schedules.put("s", "etl", every=1000, overlap="buffer_all", max_runs=3)
    assert why(bench, "its next time", "stepflow schedules trigger s") is ScheduleState.ACTIVE
    assert bench.schedules.why("s").until.timestamp() == BEGIN + 1000
    bench.go_to(2500)
    [live] = bench.live()
    state = why(bench, f"1 time waits for the end of run {live}", f"stepflow why {live}")
    assert state is ScheduleState.BUFFERED
    bench.schedules.pause("s", "audit", by="ada")
    assert why(bench, "ada paused it: audit", "stepflow schedules resume s") == "paused"
    bench.schedules.resume("s")
    bench.go_to(3000)
    for _ in range(3):
        bench.client.cancel(bench.live()[0])
        bench.look()
    assert why(bench, "no further times", "stepflow schedules put s ...") is ScheduleState.ENDED
    with pytest.raises(ScheduleNotFound):
        bench.schedules.why("other")


def test_one_that_nobody_declares_says_since_when(bench):
    """[T16] [T19]"""
    start(bench, an_app())
    bench.go_to(80)
    words = "no live worker declares it since 2027-01-15 08:00:10 UTC"
    assert why(bench, words, "stepflow worker") is ScheduleState.BLOCKED


def lost(bench):
    return carry_out(bench.connection, lost_schedules(bench.env))


def test_one_that_stands_in_no_due_set_is_found_and_put_back(bench):
    """[T19]"""
    bench.schedules.put("s", "etl", every=1000)
    bench.schedules.put("fine", "etl", every=1000)
    bench.redis.zrem(bench.keys.due, "sched:s")
    assert why(bench, "in no due set", "stepflow doctor --repair") is ScheduleState.ACTIVE
    [found] = lost(bench)
    assert (found.id, found.due_at) == ("s", BEGIN + 1000)
    assert carry_out(bench.connection, mend_schedule(found, bench.env))
    assert not carry_out(bench.connection, mend_schedule(found, bench.env))
    assert lost(bench) == []
    bench.go_to(1000)
    assert bench.runs() == [1000]


def test_one_whose_run_has_ended_without_waking_it_is_found(bench):
    """[T19] Such as after a database was restored."""
    bench.schedules.put("s", "etl", every=1000, overlap="buffer_all", max_runs=2)
    bench.go_to(2500)
    assert (lost(bench), bench.next_due()) == ([], None)
    bench.client.cancel(bench.live()[0])
    bench.redis.zrem(bench.keys.due, "sched:s")
    [found] = lost(bench)
    assert found.due_at == bench.now


def test_one_that_may_stand_is_left_alone(bench):
    """[T19]"""
    bench.schedules.put("s", "etl", every=1000)
    bench.schedules.pause("s")
    assert lost(bench) == []


def test_its_place_in_the_due_set_is_no_stray(bench):
    bench.schedules.put("s", "etl", every=1000)
    assert carry_out(bench.connection, strays(bench.env))[0] == []
    bench.redis.delete(bench.keys.schedule("s"))
    [found] = carry_out(bench.connection, strays(bench.env))[0]
    assert found.member == "sched:s"
    bench.redis.flushall()
