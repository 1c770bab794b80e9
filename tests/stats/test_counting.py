"""What workers and scripts count, as `client.stats()` tells it."""

from __future__ import annotations

from typing import Any

import redis

from stepflow import AsyncClient, Client, RunnerStats, Stats, Stepflow
from stepflow.core.run import Run
from stepflow.store.keys import Keys
from stepflow.testing import Harness
from stepflow.worker.counting.counters import Counters
from tests.conftest import Working
from tests.support import until


def of_runner(stats: Stats, name: str) -> RunnerStats:
    [found] = [runner for runner in stats.runners if runner.runner == name]
    return found


async def worked_off(aclient: AsyncClient, *given: tuple[str, Any]) -> None:
    """Submit runs and wait for their ends."""
    runs = [await aclient.submit(runner, payload) for runner, payload in given]
    for run in runs:
        await run.wait(60)


async def test_each_run_and_each_attempt_of_a_step_is_counted_once(
    counted_app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E20]"""
    chain = [("chain", payload) for payload in ("two steps", "cancel", "retry", "fail")]
    async with working(counted_app):
        await worked_off(aclient, *chain, ("flow", False), ("flow", True))
    stats = await aclient.stats()
    counted = of_runner(stats, "chain")
    assert counted.submitted == 4
    assert counted.ended == {"cancelled": 1, "failed": 1, "succeeded": 2}
    assert counted.steps == {"cancelled": 1, "done": 3, "failed": 1, "retried": 1}
    assert of_runner(stats, "flow").ended == {"failed": 1, "succeeded": 1}


async def test_the_steps_of_a_workflow_are_its_own_not_its_activations(
    counted_app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E20]"""
    async with working(counted_app):
        await worked_off(aclient, ("flow", False), ("flow", True))
    steps = of_runner(await aclient.stats(), "flow").steps
    assert steps == {"done": 3, "failed": 1, "retried": 1}


async def test_periods_add_up_to_the_runners(
    counted_app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[E20] Minutes and hours with nothing in them are there as well."""
    async with working(counted_app):
        await worked_off(aclient, *[("chain", "two steps")] * 5)
    stats = await aclient.stats(minutes=10, hours=3)
    assert (len(stats.minutes), len(stats.hours)) == (10, 3)
    for periods in (stats.minutes, stats.hours):
        assert sum(period.submitted for period in periods) == 5
        assert sum(period.steps.get("done", 0) for period in periods) == 10
        assert [period.at for period in periods] == sorted(period.at for period in periods)
    assert stats.minutes[-1].at <= stats.at


async def test_times_of_steps_are_estimated_from_their_histogram(
    counted_app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    async with working(counted_app):
        await worked_off(aclient, *[("chain", None)] * 20)
    chain = of_runner(await aclient.stats(), "chain")
    assert chain.p50_s is not None
    assert chain.p95_s is not None
    assert chain.mean_s is not None
    assert 0 < chain.p50_s <= chain.p95_s < 5


async def test_failures_are_grouped_by_the_error_that_a_step_raised(
    counted_app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    async with working(counted_app):
        await worked_off(aclient, ("flow", True), ("chain", "fail"), ("flow", True))
    groups = {(group.runner, group.error): group for group in (await aclient.stats()).failing}
    assert {key: group.recent for key, group in groups.items()} == {
        ("flow", "CardDeclined"): 2,
        ("chain", "PermanentError"): 1,
    }
    declined = groups["flow", "CardDeclined"]
    assert declined.count == 2
    assert declined.since <= declined.last_at


def test_what_a_client_ends_is_counted_before_a_worker_comes(
    counted_app: Stepflow, client: Client
) -> None:
    """[E20] The script that ends the run counts it."""
    for end in (client.cancel, client.fail):
        assert end(client.submit("chain").id, "not needed")
    chain = of_runner(client.stats(), "chain")
    assert (chain.submitted, chain.ended) == (2, {"cancelled": 1, "failed": 1})


async def test_an_idle_worker_sends_nothing(
    counted_app: Stepflow, aclient: AsyncClient, working: Working, real: redis.Redis
) -> None:
    """[E20]"""
    async with working(counted_app) as worker:
        await worked_off(aclient, ("chain", None))
        keys = Keys()
        await until(lambda: real.exists(keys.totals))
        await until(lambda: not real.exists(keys.new_counts))
        before = real.hgetall(keys.totals)
        assert worker.parts is not None
        sent = worker.parts.reporter._number
        scans = real.info("commandstats")["cmdstat_evalsha"]["calls"]
        await until(lambda: real.info("commandstats")["cmdstat_evalsha"]["calls"] > scans + 10)
        assert worker.parts.reporter._number == sent
    assert real.hgetall(keys.totals) == before


def test_a_submit_carries_out_no_more_commands_for_being_counted(
    client: Client, real: redis.Redis
) -> None:
    """[E20] It counts, and tells RQ of its queue only when nothing waits there."""
    client.submit("chain")
    real.config_resetstat()
    for _ in range(10):
        client.submit("chain")
    stats = real.info("commandstats")
    assert stats["cmdstat_hincrby"]["calls"] == 10
    assert "cmdstat_sadd" not in stats
    assert real.smembers("rq:queues") == {b"rq:queue:default"}


def test_a_queue_that_rq_forgot_is_told_of_again(client: Client, real: redis.Redis) -> None:
    client.submit("chain")
    real.delete("rq:queues", "rq:queue:default")  # as `Queue.delete` of RQ does
    client.submit("chain")
    assert real.smembers("rq:queues") == {b"rq:queue:default"}


async def test_a_harness_counts_as_a_worker_does(counted_app: Stepflow) -> None:
    async with Harness(counted_app) as harness:
        run = await harness.submit("chain", "two steps")
        await harness.result(run)
        await harness.advance(2)
        chain = of_runner(await harness.client.stats(), "chain")
    assert (chain.submitted, chain.ended, chain.steps) == (1, {"succeeded": 1}, {"done": 2})


def test_what_could_not_be_sent_is_added_to_what_is_counted_since() -> None:
    """[E20] Of each kind: ends, attempts, times, waits."""
    counters = Counters()

    def count() -> None:
        counters.attempts_of("pay").note_attempt("succeed", 0.5)
        counters.note_wait(Run("a", "pay", queue="q"), 1.0)
        counters.note_lost_claim()

    count()
    once = counters.drain()
    counters.restore(once)
    count()
    assert counters.drain() == {field: 2 * number for field, number in once.items()}
    assert not counters.drain()
