"""What is claimed first, what waits for whom, and what holds."""

import asyncio

import pytest
from rq.suspension import resume, suspend

from stepflow import Continue, RetryPolicy, RunSpec, Stepflow, Succeed
from tests.support import until

QUICK = RetryPolicy(initial=0.001, jitter=False)


async def in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


@pytest.fixture
def ran(app):
    """The run ids in the order they ran."""
    order = []

    @app.runner("note")
    async def note(step):
        order.append(step.run_id)
        return Succeed()

    return order


async def test_high_goes_before_normal_before_low_and_first_in_first_out_within(
    app, aclient, working, ran
):
    """[C5]"""
    specs = [
        RunSpec("note", run_id=f"{priority}{number}", priority=priority)
        for number in (1, 2, 3)
        for priority in ("low", "normal", "high")
    ]
    handles = await aclient.submit_many(specs)
    async with working(app, concurrency=1):
        await asyncio.gather(*[handle.wait(60) for handle in handles])
    assert ran == [
        f"{priority}{number}" for priority in ("high", "normal", "low") for number in (1, 2, 3)
    ]


async def test_priority_holds_for_every_step_and_every_attempt(app, aclient, working):
    """[C5]"""

    @app.runner("chain", retry=QUICK)
    async def chain(step):
        if step.attempt == 1:
            raise ValueError
        return Continue(delay=0.01) if step.number < 2 else Succeed()

    async with working(app):
        run = await aclient.submit("chain", priority="high", queue="default")
        status = await run.wait(60)
    assert (status.priority, status.queue, status.step) == ("high", "default", 2)


async def test_a_worker_takes_only_from_its_queues_and_those_in_their_order(
    app, aclient, working, ran
):
    handles = await aclient.submit_many(
        [RunSpec("note", run_id=name, queue=name) for name in ("c", "b", "a")]
    )
    async with working(app, queues=["a", "b"], concurrency=1):
        await asyncio.gather(*[handle.wait(60) for handle in handles[1:]])
        assert await in_state(handles[0], "pending")
    assert ran == ["a", "b"]


async def test_a_long_chain_lets_a_short_run_through(app, aclient, working, ran):
    """[C12] One slot; the chain ends only after the short run has."""

    @app.runner("chain")
    async def chain(step):
        await asyncio.sleep(0.001)
        return Succeed(step.number) if ran else Continue()

    async with working(app, concurrency=1):
        long = await aclient.submit("chain")
        await until(lambda: in_state(long, "running"))
        short = await aclient.submit("note")
        await short.wait(60)
        assert await long.result(60) > 0


async def test_a_chain_on_one_queue_lets_a_run_on_the_workers_other_queue_through(
    app, aclient, working, ran
):
    """Nobody starves: the first of a worker's queues goes before what it holds of the second."""

    @app.runner("chain")
    async def chain(step):
        await asyncio.sleep(0.001)
        return Succeed() if ran else Continue()

    async with working(app, queues=["first", "second"], concurrency=1):
        long = await aclient.submit("chain", queue="second")
        await until(lambda: in_state(long, "running"))
        await (await aclient.submit("note", queue="first")).wait(60)
        await long.wait(60)


async def test_a_kept_chain_makes_way_for_something_more_urgent_at_its_next_commit(
    app, aclient, working, ran, settings
):
    """[C5] Within its time slice even."""
    app.settings.worker.__dict__["slice_s"] = 1000.0
    steps = []

    @app.runner("chain")
    async def chain(step):
        steps.append(step.number)
        await asyncio.sleep(0.001)
        return Succeed() if ran else Continue()

    async with working(app, concurrency=1):
        long = await aclient.submit("chain")
        await until(lambda: len(steps) > 3)
        await (await aclient.submit("note", priority="high")).wait(60)
        await long.wait(60)


async def test_a_worker_takes_its_fair_share_only(app, aclient, working, settings):
    """With two live workers and ten runs of a second's work, each gets some."""
    go, held = asyncio.Event(), []

    @app.runner("slow")
    async def slow(step):
        await go.wait()
        return Succeed()

    async with working(app) as one, working(app) as two:
        await until(lambda: one.parts.live_workers == two.parts.live_workers == 2)
        handles = await aclient.submit_many([("slow", number) for number in range(20)])
        await until(lambda: len(one.worker_state.runs) + len(two.worker_state.runs) == 20)
        held += [len(one.worker_state.runs), len(two.worker_state.runs)]
        go.set()
        await asyncio.gather(*[handle.wait(60) for handle in handles])
    assert min(held) > 0


async def test_while_rq_is_suspended_nothing_is_claimed_and_resume_goes_on(
    app, aclient, working, ran, real
):
    """[C38]"""
    async with working(app) as worker:
        suspend(real)
        await until(lambda: worker.worker_state.is_suspended)
        run = await aclient.submit("note")
        batch = await worker.parts.fetchers[0].claim()
        assert (batch.waiting, batch.taken) == (-1, [])
        assert await in_state(run, "pending")
        resume(real)
        await run.wait(60)


async def test_a_kept_chain_is_let_go_when_rq_is_suspended(app, aclient, working, real):
    """[C38]"""
    done = []

    @app.runner("chain")
    async def chain(step):
        await asyncio.sleep(0.001)
        return Succeed() if done else Continue()

    async with working(app):
        run = await aclient.submit("chain")
        await until(lambda: in_state(run, "running"))
        suspend(real)
        status = await until(lambda: in_state(run, "pending"))
        assert (status.attempt, status.crashes) == (1, 0)
        done.append(True)
        resume(real)
        await run.wait(60)


@pytest.fixture
def knowing(url, settings):
    """An app that knows runner `special`."""
    app = Stepflow(url, settings=settings)

    @app.runner("special")
    async def special(step):
        return Succeed([step.attempt, step.payload])

    return app


async def test_a_run_whose_runner_no_worker_knows_waits_and_says_so_and_runs_when_one_comes(
    app, aclient, working, ran, knowing
):
    """[C24] No attempt, no crash, no backoff."""
    async with working(app):
        run = await aclient.submit("special", "p")
        status = await until(lambda: _blocked(run))
        assert status.waits_for.startswith(
            "a worker that knows runner 'special'; none that came by did, since 20"
        )
        assert (status.state, status.attempt, status.crashes) == ("pending", 1, 0)
        async with working(knowing):
            assert await run.result(60) == [1, "p"]
    assert (await run.status()).waits_for is None


async def _blocked(run):
    status = await run.status()
    return status if status.waits_for and "knows runner" in status.waits_for else None


async def test_a_worker_that_knows_the_runner_and_idles_is_woken(
    app, aclient, working, ran, knowing
):
    """[C24] Whoever pops it first: neither the idle nor the wrong worker makes it wait for long."""
    async with working(app), working(knowing):
        for number in range(20):
            assert await (await aclient.submit("special", number)).result(60) == [1, number]


async def test_the_worker_that_does_not_know_a_runner_does_not_spin(
    app, aclient, working, ran, real, keys
):
    """[C24] The delivery leaves the queue once and stands in its runner's waiting list."""
    async with working(app):
        run = await aclient.submit("special", run_id="s")
        await until(lambda: _blocked(run))
        claims = _calls(real)
        await (await aclient.submit("note")).wait(60)
        assert real.lrange(keys.waiting_list("default", "special"), 0, -1) == [b"run-s-0"]
        assert real.llen("rq:queue:default") == 0
        assert _calls(real) - claims < 100


def _calls(real):
    return int(real.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_a_waiting_run_can_be_cancelled_and_its_entry_is_dropped_later(
    app, aclient, working, ran, knowing, real
):
    """[C24] [C25]"""
    async with working(app):
        run = await aclient.submit("special")
        await until(lambda: _blocked(run))
        assert await run.cancel("never mind")
    async with working(knowing):
        await until(lambda: not list(real.scan_iter("stepflow:waiting:*")))
    assert (await run.status()).state == "cancelled"


async def test_runs_of_all_priorities_wait_for_their_runner(app, aclient, working, ran, knowing):
    """[C24] [C5]"""
    async with working(app):
        runs = await aclient.submit_many(
            [
                RunSpec("special", priority, priority=priority)
                for priority in ("low", "normal", "high")
            ]
        )
        for run in runs:
            await until(lambda run=run: _blocked(run))
    async with working(knowing):
        assert [await run.result(60) for run in runs] == [[1, "low"], [1, "normal"], [1, "high"]]


async def test_a_foreign_job_goes_to_rqs_failed_registry_and_harms_nothing(
    app, aclient, working, ran, real
):
    """[C38]"""
    import rq
    from rq.serializers import JSONSerializer

    queue = rq.Queue("default", connection=real, serializer=JSONSerializer)
    job = queue.enqueue("os.getcwd")
    async with working(app):
        await (await aclient.submit("note")).wait(60)
        await until(lambda: job.id in queue.failed_job_registry.get_job_ids())
    assert job.get_status(refresh=True) == "failed"
    assert "was not written by stepflow" in real.hget(f"rq:job:{job.id}", "exc_info").decode()


async def test_the_count_of_a_queue_is_of_what_is_live(aclient, keys, real):
    """
    [B29] A cancelled run's entry stays in RQ's list until a worker comes to it; it is not counted.
    """
    runs = [await aclient.submit("x") for _ in range(3)]
    await runs[1].cancel()
    [info] = await aclient.queues()
    assert (info.length, info.is_foreign, real.llen("rq:queue:default")) == (2, False, 3)
    assert 0 <= info.oldest_s < 10
    for run in runs[::2]:
        await run.cancel()
    [info] = await aclient.queues()
    assert (info.length, info.oldest_s, info.is_foreign, real.llen("rq:queue:default")) == (
        0,
        None,
        False,
        3,
    )


async def test_a_foreign_queue_and_a_run_whose_entry_is_gone_are_counted(aclient, keys, real):
    """[B29] What waits without an entry is handed over again, so it is live."""
    real.sadd("rq:queues", "rq:queue:theirs")
    real.rpush("rq:queue:theirs", "some-job", "another")
    run = await aclient.submit("x")
    real.delete("rq:queue:default")
    assert [(info.queue, info.length, info.is_foreign) for info in await aclient.queues()] == [
        ("default", 1, False),
        ("theirs", 2, True),
    ]
    await run.cancel()
    real.delete("rq:queue:theirs")
