"""The runs of past times, begun by a bulk that workers carry on."""

from datetime import UTC, datetime

import pytest

from stepflow import InvalidOption, ScheduleNotFound, Step, Succeed
from stepflow.engine.steering import carry_bulk
from stepflow.store.connection.sync import carry_out
from tests.schedules.conftest import BEGIN
from tests.support import until


def carry(bench, bulk_id, times=50):
    """Carry a bulk on as a worker does, to its end or so many times; gives whether it has ended."""
    for _ in range(times):
        bench.clock.advance(0.01)
        if carry_out(bench.connection, carry_bulk.carry_on(bulk_id, bench.env)) is None:
            return True
    return False


def counts(bench, bulk_id):
    seen = bench.client.bulk_info(bulk_id)
    return seen.state, seen.total, seen.done, seen.changed


@pytest.fixture
def put(bench):
    bench.schedules.put("s", "etl", every=10, overlap="allow", payload=7)
    return bench


def begin(bench, **options):
    begun = bench.schedules.backfill("s", BEGIN - 50, BEGIN - 10, rate=10_000, **options)
    bench.redis.delete(*bench.redis.keys("*hook*"))  # the test carries it on itself
    return begun.id


def test_each_past_time_has_its_run(put):
    """[T13]"""
    bulk_id = begin(put, overlap="allow")
    assert carry(put, bulk_id)
    assert counts(put, bulk_id) == ("done", 5, 5, 0)
    assert min(put.live()) == "s-20270115T075910Z"
    run = put.client.status("s-20270115T075910Z")
    assert (run.payload, run.headers["workflow.scheduled_for"]) == (7, "2027-01-15T07:59:10+00:00")


def test_times_that_have_run_are_the_same_run_and_counted_so(put):
    """[T3] [T13] And what was begun before goes on where it was."""
    first = begin(put, overlap="allow")
    carry(put, first)
    second = begin(put, overlap="allow")
    carry(put, second)
    assert counts(put, second) == ("done", 5, 0, 5)
    assert len(put.live()) == 5


def test_one_begins_when_the_one_before_has_ended(put):
    """[T13]"""
    bulk_id = begin(put)
    for number in range(5):
        carry(put, bulk_id, times=20)
        [live] = put.live()
        assert live == f"s-20270115T0759{10 * (number + 1)}Z"
        put.client.cancel(live)
    carry(put, bulk_id, times=5)
    assert counts(put, bulk_id)[2] == 5


def test_it_touches_nothing_of_the_schedule_itself(put):
    carry(put, begin(put, overlap="allow"), times=20)
    assert put.schedules.get("s").runs == 0
    assert put.next_due() == BEGIN + 10


@pytest.mark.parametrize(
    ("start", "end", "options", "words"),
    [
        (BEGIN + 10, BEGIN + 50, {}, "0 times in between that are past"),
        (BEGIN - 9, BEGIN - 1, {}, "0 times"),
        (BEGIN - 2_000_000, BEGIN, {}, "100,001 or more times"),
        (BEGIN - 50, BEGIN, {"overlap": "skip"}, "buffer_all or allow"),
        (BEGIN - 50, BEGIN, {"rate": 0.0}, "rate is 0"),
    ],
)
def test_what_cannot_be_backfilled_is_refused(put, start, end, options, words):
    with pytest.raises(InvalidOption, match=words):
        put.schedules.backfill("s", start, end, **options)


def test_an_unknown_schedule_is_not_found(bench):
    with pytest.raises(ScheduleNotFound):
        bench.schedules.backfill("s", BEGIN - 50, BEGIN)


async def test_a_worker_carries_it_out(app, working, client):
    """[T13]"""
    seen = []

    @app.runner("etl")
    async def etl(step: Step[object]):
        seen.append(step.scheduled_for)
        return Succeed()

    client.schedules.put("s", etl, "@daily")
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, tzinfo=UTC)
    begun = client.schedules.backfill("s", start, end)
    async with working(app):
        await until(lambda: client.bulk_info(begun.id).state == "done")
        await until(lambda: len(seen) == 5)
    assert seen == [datetime(2026, 1, day, tzinfo=UTC) for day in range(1, 6)]
    client.schedules.delete("s")
