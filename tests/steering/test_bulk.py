"""Bulks on a real server: selected once, carried on by whoever comes, each run once."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from stepflow import (
    BulkGrown,
    BulkNotFound,
    Context,
    Fail,
    InvalidName,
    InvalidOption,
    RunState,
    Succeed,
)
from stepflow.engine.steering import bulk, carry_bulk
from tests.support import until

FAST = 10_000.0


async def carry(client: Any, bulk_id: str, *, times: int | None = None) -> None:
    """Carry a bulk on as a worker does, to its end or so many times."""
    while times is None or times > 0:
        if await client._do(carry_bulk.carry_on(bulk_id, client.env)) is None:
            return
        times = None if times is None else times - 1


def drop_delivery(real: Any, keys: Any) -> None:
    """Take away the delivery of a bulk that the test carries on itself."""
    for key in real.scan_iter("stepflow:hook:bulk-*"):
        real.delete(key)
    for key in (keys.rq_list(keys.hook_queue), keys.queued_at(keys.hook_queue), keys.live_hooks):
        real.delete(key)
    for key in real.scan_iter("rq:job:hook-bulk-*"):
        real.delete(key)


async def states(client: Any) -> Counter[str]:
    return Counter(str(run.state) for run in (await client.list(limit=10_000)).runs)


@pytest.fixture
async def some(aclient: Any) -> list[str]:
    """Runs of two runners, on two queues, of two tenants."""
    handles = [
        await aclient.submit(
            "xy"[number % 2], number, run_id=f"r{number}",
            queue=("default", "mail")[number % 3 == 0],
            headers={"tenant": ("acme", "umbrella")[number % 4 == 0]}, delay=1000,
        )
        for number in range(12)
    ]  # fmt: skip
    return [handle.id for handle in handles]


WHERE = {
    "runner=x": {0, 2, 4, 6, 8, 10},
    "workflow^=x queue=mail": {0, 6},
    "header.tenant=umbrella": {0, 4, 8},
    "header.tenant~mbr runner=x id=r4": {4},
    "id^=r1": {1, 10, 11},
    "state=scheduled version=1": set(range(12)),
    "state=failed": set(),
    "older=1h": set(),
    "since=1h": set(range(12)),
    "until=2026-01-01": set(),
}


@pytest.mark.parametrize("where", WHERE)
async def test_a_preview_counts_what_fits_and_gives_examples(some, aclient, where):
    """[O13] [O14]"""
    seen = await aclient.preview("cancel", where)
    assert (seen.count, seen.is_exact) == (len(WHERE[where]), True)
    assert set(seen.examples) <= {f"r{number}" for number in WHERE[where]}
    assert len(seen.examples) == min(5, seen.count)


@pytest.mark.usefixtures("some")
async def test_a_preview_says_at_least_where_there_are_too_many(aclient, monkeypatch):
    """[O14]"""
    monkeypatch.setattr(bulk, "COUNTED", 10)
    seen = await aclient.preview("cancel", "state=scheduled")
    assert (seen.count, seen.is_exact) == (10, False)


@pytest.mark.parametrize(
    ("verb", "where", "says"),
    [
        ("cancel", "colour=red", "runner=|~|^="),
        ("cancel", "label.tenant=acme", "tag.KEY"),
        ("cancel", "", "no condition"),
        ("cancel", "runner", "is no condition"),
        ("cancel", "state~run", "write state="),
        ("cancel", "state=dead", "none of"),
        ("cancel", "older=soon", "is not a time"),
        ("cancel", "since='", "cannot be read"),
        ("explode", "runner=x", "cancel, retry, delete"),
    ],
)
async def test_what_is_no_condition_is_refused_with_those_that_are(
    aclient, real, verb, where, says
):
    """[O13] Nothing is begun."""
    for refused in (aclient.preview(verb, where), aclient.bulk(verb, where)):
        with pytest.raises(InvalidOption) as error:
            await refused
        assert says in str(error.value)
    assert not list(real.scan_iter("stepflow:bulk*"))


async def test_a_bulk_needs_a_pace_and_a_signal_its_name(aclient):
    """[O13]"""
    for rate in (0, -1, 1e9):
        with pytest.raises(InvalidOption, match="rate"):
            await aclient.bulk("cancel", "runner=x", rate=rate)
    with pytest.raises(InvalidName):
        await aclient.bulk("signal", "runner=x")


async def test_a_bulk_that_would_concern_many_more_is_not_begun(some, aclient, real):
    """[O14] A tenth more is let pass."""
    with pytest.raises(BulkGrown, match="12 runs"):
        await aclient.bulk("cancel", "state=scheduled", expect=10)
    assert not list(real.scan_iter("stepflow:bulk*"))


async def test_workers_do_it_to_what_fits_and_was_there_before(app, aclient, working, some, real):
    """[O13] Who asked stands in the record of each run."""

    @app.runner("x")
    async def x(step: Any) -> Any:
        return Succeed()

    begun = await aclient.bulk("cancel", "runner=x", rate=FAST, reason="wrong", by="ann")
    later = await aclient.submit("x", run_id="later", delay=1000)
    async with working(app):
        await until(lambda: _is_over(aclient, begun.id))
    told = await aclient.bulk_info(begun.id)
    assert (told.state, told.total, told.done, told.refused) == ("done", 6, 6, 0)
    for number in range(12):
        status = await aclient.status(f"r{number}")
        assert status.state == ("cancelled" if number % 2 == 0 else "scheduled")
        if number % 2 == 0:
            assert status.reason == "wrong"
            assert real.hget(f"stepflow:run:r{number}", "stop_by") == b"ann"
    assert (await later.status()).state == "scheduled"
    assert real.ttl(f"stepflow:bulk:{begun.id}") > 0
    assert not real.exists(f"stepflow:bulk:{begun.id}:runs")
    for run_id in [*some, "later"]:
        await aclient.cancel(run_id)


async def _is_over(client: Any, bulk_id: str) -> bool:
    return (await client.bulk_info(bulk_id)).state == "done"


async def test_each_verb_is_done_to_many(app, aclient, working, real, keys):
    """[O13] Paused, signalled, resumed, cancelled, retried, deleted."""

    @app.workflow("review")
    async def review(ctx: Context) -> Any:
        found = await ctx.wait_for_signal("go")
        return Fail("no") if found == "fail" else found

    async with working(app):
        for number in range(5):
            await aclient.submit("review", run_id=f"r{number}")
        await until(lambda: _all(aclient, "waiting", 5))
        for verb, options, state in (
            ("pause", {"reason": "down"}, "paused"),
            ("resume", {}, "waiting"),
            ("signal", {"signal": "go", "payload": "fail"}, "failed"),
            ("retry", {}, "failed"),
        ):
            begun = await aclient.bulk(verb, "runner=review", rate=FAST, **options)
            await until(lambda begun=begun: _is_over(aclient, begun.id))
            assert (await aclient.bulk_info(begun.id)).done == 5, verb
            await until(lambda state=state: _all(aclient, state, 5))
        assert {real.hget(keys.run(f"r{number}"), "ends") for number in range(5)} == {b"2"}
        begun = await aclient.bulk("delete", "runner=review", rate=FAST)
        await until(lambda: _is_over(aclient, begun.id))
        assert (await aclient.bulk_info(begun.id)).done == 5
        assert await states(aclient) == Counter()


async def _all(client: Any, state: str, count: int) -> bool:
    return await states(client) == Counter({state: count})


async def test_a_bulk_stops_and_goes_on_where_it_stopped(some, aclient, app, working, real, keys):
    """[O13]"""
    begun = await aclient.bulk("cancel", "state=scheduled", rate=FAST)
    drop_delivery(real, keys)
    bulks_batch = carry_bulk._BATCH
    carry_bulk._BATCH = 5
    try:
        while (await aclient.bulk_info(begun.id)).done < 5:
            await carry(aclient, begun.id, times=1)
        assert (await aclient.stop_bulk(begun.id)).state == "stopped"
        half = await aclient.bulk_info(begun.id)
        assert (half.total, half.done) == (12, 5)
        await carry(aclient, begun.id)
        assert await states(aclient) == {"cancelled": 5, "scheduled": 7}
        assert [info.id for info in await aclient.bulks()] == [begun.id]
        again = await aclient.resume_bulk(begun.id)
        assert again.state == "running"
    finally:
        carry_bulk._BATCH = bulks_batch
    async with working(app):
        await until(lambda: _is_over(aclient, begun.id))
    assert (await aclient.bulk_info(begun.id)).done == 12
    assert await states(aclient) == {"cancelled": 12}
    with pytest.raises(BulkNotFound):
        await aclient.stop_bulk("nobody")


async def test_a_go_that_was_not_written_down_is_made_again_and_no_run_is_touched_twice(
    aclient, real, keys, ghost
):
    """
    [O13] The worker dies after it has retried the runs and before it has written so. They fail
    once more meanwhile, and are not retried again.
    """
    for number in range(3):
        run = await aclient.submit("x", run_id=f"r{number}")
        await aclient.fail(run.id)
    begun = await aclient.bulk("retry", "state=failed", rate=FAST)
    drop_delivery(real, keys)
    await carry(aclient, begun.id, times=2)
    before = real.dump(keys.bulk(begun.id))
    await carry(aclient, begun.id)
    assert await states(aclient) == {"pending": 3}
    real.restore(keys.bulk(begun.id), 0, before, replace=True)
    selected = {
        f"r{number}": (await aclient.status(f"r{number}")).created_at.timestamp()
        for number in range(3)
    }
    real.zadd(keys.bulk_runs(begun.id), selected)
    ghost.claim("x")
    ghost.die()
    for number in range(3):
        real.hset(keys.run(f"r{number}"), "crashes", 10)
    from stepflow.worker.recover import recover_lapsed

    for number in range(3):
        await aclient._do(recover_lapsed(f"run:r{number}", aclient.env))
    assert await states(aclient) == {"failed": 3}
    await carry(aclient, begun.id)
    assert await states(aclient) == {"failed": 3}
    assert (await aclient.bulk_info(begun.id)).changed == 3


async def test_two_who_carry_one_bulk_on_count_each_run_once(some, aclient, real, keys):
    """[O13] The one who writes first counts."""
    begun = await aclient.bulk("cancel", "state=scheduled", rate=FAST)
    drop_delivery(real, keys)

    async def one() -> None:
        await carry(aclient, begun.id)

    await asyncio.gather(one(), one(), one())
    told = await aclient.bulk_info(begun.id)
    assert (told.state, told.done, told.refused + told.changed + told.gone) == ("done", 12, 0)


async def test_a_run_that_no_longer_fits_is_left_alone_and_counted(some, aclient, real, keys):
    """[O13]"""
    begun = await aclient.bulk("cancel", "state=scheduled queue=mail", rate=FAST)
    drop_delivery(real, keys)
    await carry(aclient, begun.id, times=2)
    await aclient.run_now("r0")
    await aclient.cancel("r3")
    await aclient.delete("r3")
    await carry(aclient, begun.id)
    told = await aclient.bulk_info(begun.id)
    assert (told.total, told.done, told.changed, told.gone) == (4, 2, 1, 1)
    assert (await aclient.status("r0")).state == "pending"
    for run_id in some:
        await aclient.cancel(run_id)


async def test_the_pace_is_kept(some, aclient, real, keys):
    """[O13] By the server's clock; nobody who was away makes up for it."""
    begun = await aclient.bulk("cancel", "state=scheduled", rate=2.0)
    drop_delivery(real, keys)
    env = aclient.env
    plan = lambda: carry_bulk.carry_on(begun.id, env)  # noqa: E731
    while (await aclient.bulk_info(begun.id)).state == "selecting":
        await aclient._do(plan())
    wait_s = await aclient._do(plan())
    assert 0.0 < wait_s <= 0.5
    real.hset(keys.bulk(begun.id), "paced_at", f"{env.clock.now() - 1000:.6f}")
    assert await aclient._do(plan()) == 0.0
    assert (await aclient.bulk_info(begun.id)).done == 2
    assert 0.0 < await aclient._do(plan()) <= 0.5
    await aclient.stop_bulk(begun.id)
    for run_id in some:
        await aclient.cancel(run_id)


async def test_a_bulk_whose_record_is_damaged_stops(some, aclient, real, keys):
    """[O13]"""
    begun = await aclient.bulk("cancel", "state=scheduled", rate=FAST)
    drop_delivery(real, keys)
    real.hset(keys.bulk(begun.id), "cursor", "many")
    await carry(aclient, begun.id)
    assert await states(aclient) == {"scheduled": 12}
    assert (await aclient.bulk_info(begun.id)).state == "stopped"
    real.delete(keys.bulk(begun.id), keys.bulk_runs(begun.id), keys.bulks)
    for run_id in some:
        await aclient.cancel(run_id)


async def test_a_bulk_whose_delivery_was_given_up_is_taken_up_again(
    some, app, aclient, working, real, keys
):
    """[O13] By a worker of an earlier version, say; and its expired record is listed no more."""
    begun = await aclient.bulk("cancel", "state=scheduled", rate=FAST)
    drop_delivery(real, keys)
    async with working(app):
        assert (await aclient.resume_bulk(begun.id)).state == "selecting"
        await until(lambda: _is_over(aclient, begun.id))
    assert (await aclient.bulk_info(begun.id)).done == 12
    real.delete(keys.bulk(begun.id))
    assert await aclient.bulks() == []
    assert not real.exists(keys.bulks)


async def test_a_client_of_either_kind_does_bulks(client, real, keys):
    """[O13]"""
    client.submit("x", run_id="a", delay=1000)
    assert client.preview("cancel", "runner=x").count == 1
    begun = client.bulk("cancel", "runner=x", expect=1)
    assert [info.id for info in client.bulks()] == [begun.id]
    assert client.stop_bulk(begun.id).state == "stopped"
    assert client.resume_bulk(begun.id).state == "selecting"
    assert client.bulk_info(begun.id).total is None
    client.stop_bulk(begun.id)
    client.cancel("a")
    drop_delivery(real, keys)
    assert client.status("a").state == RunState.CANCELLED
