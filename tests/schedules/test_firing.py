"""A time that has come, on a server: its run, what is next, the history, in one write."""

import pytest

from stepflow import (
    InvalidName,
    InvalidOption,
    RunState,
    ScheduleNotFound,
    ScheduleState,
)
from stepflow.store.runs import load_run
from tests.schedules.conftest import BEGIN
from tests.support import dump


def test_a_time_that_has_come_has_its_run(bench):
    """[T2] [T3] [T14]"""
    bench.schedules.put("s", "etl", every=10, payload={"a": 1}, queue="night", priority="high")
    bench.go_to(10)
    run = bench.client.status("s-20270115T080010Z")
    assert (run.runner, run.payload, run.queue, run.priority) == ("etl", {"a": 1}, "night", "high")
    assert run.headers == {
        "workflow.schedule": "s", "workflow.scheduled_for": "2027-01-15T08:00:10+00:00",
    }  # fmt: skip
    assert run.state is RunState.PENDING
    assert bench.redis.lrange("rq:queue:night.high", 0, -1)
    assert bench.next_due() == BEGIN + 20


def test_a_schedule_is_looked_at_when_it_is_due_and_not_before(bench):
    """[T2]"""
    bench.schedules.put("s", "etl", every=10)
    bench.clock.advance(9.9)
    assert bench.move_due() == []
    bench.clock.advance(0.1)
    assert bench.move_due() == ["s"]


def test_another_worker_looks_where_the_first_has_gone(bench):
    """[T3] It dies between taking the schedule out and firing it."""
    bench.schedules.put("s", "etl", every=1000)
    bench.clock.advance(1000)
    assert bench.move_due() == ["s"]
    assert bench.move_due() == []
    bench.clock.advance(2.1)
    bench.look()
    assert bench.runs() == [1000]


def test_who_comes_second_changes_nothing(bench):
    """[T2]"""
    bench.schedules.put("s", "etl", every=10)
    bench.clock.advance(10)
    bench.fire("s")
    before = dump(bench.redis)
    bench.fire("s")
    after = dump(bench.redis)
    ours = [key for key in after if key.startswith(b"stepflow:run")]
    assert [after[key] for key in ours] == [before[key] for key in ours]
    assert bench.runs() == [10]


def test_the_run_of_a_time_that_is_there_stays_as_it_is(bench):
    """[T3] A database restored from before the last firing, the runs being kept elsewhere."""
    bench.schedules.put("s", "etl", every=10)
    bench.client.submit("etl", run_id="s-20270115T080010Z", payload="mine")
    bench.go_to(10)
    assert bench.client.status("s-20270115T080010Z").payload == "mine"
    assert bench.runs() == [10]
    assert bench.next_due() == BEGIN + 20


@pytest.mark.parametrize(
    ("overlap", "ran", "left"),
    [
        ("skip", [10], [(20, "overlap", 1), (30, "overlap", 1)]),
        ("buffer_one", [10], [(30, "overlap", 1)]),
        ("buffer_all", [10], []),
        ("cancel_other", [10, 20, 30], []),
        ("allow", [10, 20, 30], []),
    ],
)
def test_what_becomes_of_times_while_a_run_goes_on(bench, overlap, ran, left):
    """[T9] [T18]"""
    bench.schedules.put("s", "etl", every=10, overlap=overlap)
    bench.go_to(35)
    assert bench.runs() == ran
    assert bench.left() == left


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_the_end_of_a_run_begins_the_one_that_waits_for_it(bench, end):
    """[T9] Without anybody looking at the schedule in between: `finish_run` makes it due."""
    bench.schedules.put("s", "etl", every=1000, overlap="buffer_all")
    bench.go_to(2500)
    assert bench.schedules.get("s").state is ScheduleState.BUFFERED
    [live] = bench.live()
    getattr(bench.client, end)(live)
    assert bench.next_due() == bench.now
    bench.look()
    assert bench.runs() == [1000, 2000]
    assert bench.live() == ["s-20270115T083320Z"]
    assert bench.schedules.get("s").state is ScheduleState.ACTIVE


def test_the_end_of_a_run_says_nothing_to_a_schedule_that_does_not_wait(bench):
    """[T9]"""
    bench.schedules.put("s", "etl", every=1000)
    bench.go_to(1500)
    bench.client.cancel(bench.live()[0])
    assert bench.next_due() == BEGIN + 2000


def test_a_failure_pauses_at_once_where_that_is_asked_for(bench):
    """[T11]"""
    bench.schedules.put("s", "etl", every=1000, pause_on_failure=True)
    bench.go_to(1500)
    bench.client.fail(bench.live()[0], "broken")
    bench.look()
    seen = bench.schedules.get("s")
    assert (seen.state, seen.note) == (ScheduleState.PAUSED, "run s-20270115T081640Z failed")
    assert bench.next_due() is None
    assert bench.schedules.resume("s")
    bench.go_to(2000)
    assert bench.runs() == [1000, 2000]


def test_times_that_nobody_was_there_for_are_written_down(bench):
    """[T10] [T18]"""
    bench.schedules.put("s", "etl", every=10)
    bench.clock.advance(95)
    bench.look()
    assert (bench.runs(), bench.left()) == ([90], [(80, "missed", 8)])


def test_all_of_them_run_one_after_the_other_where_that_is_asked_for(bench):
    """[T10]"""
    bench.schedules.put("s", "etl", every=10, catch_up="all")
    bench.clock.advance(35)
    bench.look()
    while live := bench.live():
        assert len(live) == 1
        bench.client.cancel(live[0])
        bench.look()
    assert bench.runs() == [10, 20, 30]


def test_the_history_keeps_the_last_fifty(bench):
    """[T18]"""
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    bench.go_to(600)
    assert bench.runs() == [10.0 * number for number in range(11, 61)]


def test_a_paused_schedule_stands_and_goes_on(bench):
    """[T11]"""
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    assert bench.schedules.pause("s", "quarter end", by="ada")
    assert not bench.schedules.pause("s", "again")
    seen = bench.schedules.get("s")
    assert (seen.state, seen.note, seen.paused_by) == (ScheduleState.PAUSED, "quarter end", "ada")
    assert (seen.next_at, bench.next_due()) == (None, None)
    bench.go_to(25)
    assert bench.schedules.resume("s")
    assert not bench.schedules.resume("s")
    bench.go_to(30)
    assert (bench.runs(), bench.left()) == ([30], [(20, "paused", 2)])


def test_resumed_with_catch_up_it_makes_up_for_the_pause(bench):
    """[T11]"""
    bench.schedules.put("s", "etl", every=10, overlap="allow", catch_up="all")
    bench.schedules.pause("s")
    bench.go_to(25)
    bench.schedules.resume("s", catch_up=True)
    bench.look()
    assert bench.runs() == [10, 20]


def test_other_times_count_from_now_and_what_has_fired_never_fires_again(bench):
    """[T17]"""
    bench.schedules.put("s", "etl", every=10, overlap="allow")
    bench.go_to(20)
    bench.clock.advance(5)
    bench.schedules.put("s", "etl", every=5, overlap="allow")
    bench.go_to(40)
    assert bench.runs() == [10, 20, 30, 35, 40]


def test_another_payload_leaves_the_times_alone(bench):
    bench.schedules.put("s", "etl", every=10, payload=1)
    bench.clock.advance(15)
    bench.schedules.put("s", "etl", every=10, payload=2)
    bench.look()
    assert bench.runs() == [10]
    assert bench.client.status("s-20270115T080010Z").payload == 2


def test_a_pause_survives_a_put(bench):
    """[T15]"""
    bench.schedules.put("s", "etl", every=10)
    bench.schedules.pause("s", "why")
    bench.schedules.put("s", "etl", every=20)
    assert bench.schedules.get("s").state is ScheduleState.PAUSED
    assert bench.next_due() is None


def test_a_trigger_runs_now_whatever_the_times(bench):
    """[T12]"""
    bench.schedules.put("s", "etl", every=1000)
    run_id = bench.schedules.trigger("s")
    assert run_id.startswith("s-manual-")
    assert bench.client.status(run_id).headers["workflow.schedule"] == "s"
    assert bench.schedules.history("s")[0].run_id == run_id
    bench.go_to(1000)
    assert bench.schedules.trigger("s", overlap="skip") is None
    with pytest.raises(InvalidOption, match="buffer_one"):
        bench.schedules.trigger("s", overlap="buffer_one")
    last = bench.schedules.get("s").last_run
    assert bench.schedules.trigger("s", overlap="cancel_other")
    assert bench.client.status(last).state is RunState.CANCELLED


def test_a_deleted_schedule_is_gone_and_its_runs_stay(bench):
    bench.schedules.put("s", "etl", every=10)
    bench.go_to(10)
    assert bench.schedules.delete("s")
    assert not bench.schedules.delete("s")
    bench.go_to(30)
    assert bench.live() == ["s-20270115T080010Z"]
    assert not bench.redis.keys("stepflow:sched*")
    with pytest.raises(ScheduleNotFound):
        bench.schedules.get("s")


def test_a_schedule_whose_last_time_is_over_has_ended(bench):
    """[T11]"""
    bench.schedules.put("s", "etl", at=[BEGIN + 5, BEGIN + 7], overlap="allow")
    bench.go_to(10)
    seen = bench.schedules.get("s")
    assert (seen.state, seen.runs, seen.next_at) == (ScheduleState.ENDED, 2, None)
    bench.schedules.put("s", "etl", at=[BEGIN + 20], overlap="allow")
    bench.go_to(20)
    assert bench.runs() == [5, 7, 20]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "one of them"),
        ({"every": 10, "at": [BEGIN + 1]}, "one of them"),
        ({"every": 10, "tz": "UTC"}, "goes with a cron line"),
        ({"every": 10, "overlap": "maybe"}, "overlap is 'maybe'"),
        ({"every": 10, "catch_up": "some"}, "catch_up is 'some'"),
        ({"every": 10, "max_runs": -1}, "max_runs"),
        ({"every": 10, "headers": {"workflow.x": "y"}}, "workflow.x"),
        ({"every": 10, "priority": "urgent"}, "urgent"),
        ({"at": [BEGIN - 1]}, "no time after now"),
        ({"every": 10, "until": BEGIN + 1}, "no time after now"),
        ({"every": -1}, "every"),
    ],
)
def test_what_cannot_be_is_refused_where_it_is_put(bench, options, words):
    """[T20]"""
    with pytest.raises(Exception, match=words) as refused:
        bench.schedules.put("s", "etl", **options)
    assert type(refused.value).__name__ in {"InvalidOption", "ReservedHeader"}
    assert not bench.redis.keys("stepflow:sched*")


@pytest.mark.parametrize("schedule_id", ["", "a b", "x" * 61, "a.b", None])
def test_an_id_is_part_of_run_ids(bench, schedule_id):
    with pytest.raises(InvalidName):
        bench.schedules.put(schedule_id, "etl", every=10)


def test_the_next_times_are_given_in_their_zone_with_what_the_clock_does(bench):
    """[T20]"""
    bench.schedules.put("s", "etl", "30 2 * * *", tz="Europe/Berlin")
    bench.clock.advance((1_806_100_000 - BEGIN) // 1)  # 26 March 2027
    found = bench.schedules.next("s", 3)
    assert [f"{each.at:%d %H:%M %z}" for each in found] == [
        "27 02:30 +0100", "28 03:00 +0200", "29 02:30 +0200",
    ]  # fmt: skip
    assert [each.note for each in found] == [
        "", "the clock goes forward by 60 min that day", "",
    ]  # fmt: skip


def test_a_record_that_cannot_be_read_stops_no_other(bench, caplog):
    bench.schedules.put("bad", "etl", every=10)
    bench.schedules.put("good", "etl", every=10)
    bench.redis.hset(bench.keys.schedule("bad"), "spec", b"\xc1")
    bench.go_to(10)
    assert bench.runs("good") == [10]
    assert [each.id for each in bench.schedules.list()] == ["good"]
    assert "schedule=bad does not fire until it is put again" in caplog.text
    bench.schedules.put("bad", "etl", every=10)
    bench.go_to(20)
    assert bench.runs("bad") == [20]


def test_what_is_left_out_is_logged_with_the_schedules_name(bench, caplog):
    """[T18] temporal #8087."""
    bench.schedules.put("s", "etl", every=10)
    bench.go_to(20)
    assert "schedule=s overlap: 1 time has no run, up to 2027-01-15 08:00:20 UTC" in caplog.text


def test_the_run_of_a_schedule_knows_it(bench):
    bench.schedules.put("s", "etl", every=10)
    bench.go_to(10)
    run = bench.connection.call(load_run(bench.keys, "s-20270115T080010Z"))
    assert run.schedule == "s"
