"""
Workers that die, leave, stand still or lose their server: no step is lost, none is committed twice.
"""

import asyncio
import threading

import pytest

from stepflow import Continue, RetryPolicy, Stepflow, Succeed
from stepflow.core.outcomes import Lost
from stepflow.engine.env import Env
from stepflow.engine.recovery.again import hand_over_again
from stepflow.settings import Settings, WorkerSettings
from stepflow.store.connection.sync import carry_out
from stepflow.store.maintenance import move_due
from stepflow.worker.recover import claims_of, recover_worker
from tests.support import until

QUICK = RetryPolicy(max_attempts=2, initial=0.001, jitter=False)


async def in_state(run, state):
    status = await run.status()
    return status if status.state == state else None


@pytest.fixture
def fine(app):
    @app.runner("fine")
    async def fine(step):
        return Succeed([step.number, step.attempt])


async def test_the_steps_of_a_dead_worker_run_again_and_no_attempt_is_counted(
    app, aclient, working, ghost, fine
):
    """[C35] [C22] Deliveries lost with their worker are counted apart from errors."""
    run = await aclient.submit("fine")
    ghost.claim("fine")
    async with working(app):
        assert await in_state(run, "running")
        ghost.die()
        assert await run.result(60) == [0, 1]
    assert (await run.status()).crashes == 1


async def test_a_live_claim_is_left_alone(app, aclient, working, ghost, fine):
    """[C35] Negative control: only what has lapsed is recovered."""
    run = await aclient.submit("fine")
    ghost.claim("fine")
    async with working(app) as worker:
        ticks = [await worker.worker_state.connection.call(_look(worker)) for _ in range(3)]
        assert all(look.lapsed == [] for look in ticks)
        assert await in_state(run, "running")


def _look(worker):
    from stepflow.store.maintenance import scan_maintenance

    return scan_maintenance(
        worker._env.keys, [], "test", "test", given="", silent_s=5.0, dead_s=60.0
    )


async def test_when_a_step_was_lost_too_often_the_run_fails_and_says_so_and_its_hooks_fire(
    url, aclient, working, ghost
):
    """[C22] max_crashes"""
    app, seen = Stepflow(url, settings=Settings(worker=WorkerSettings(max_crashes=0))), []

    @app.runner("poison")
    async def poison(step):
        return Succeed()

    @app.on_terminal
    def note(outcome):
        seen.append((outcome.status, outcome.error.type))

    run = await aclient.submit("poison")
    ghost.claim("poison")
    ghost.die()
    async with working(app):
        status = await run.wait(60)
        await until(lambda: seen)
    assert (status.state, status.error.type) == ("failed", "WorkerLost")
    assert "was lost with its worker 1 times, max_crashes is 0" in status.error.message
    assert seen == [("failed", "WorkerLost")]


async def test_from_the_second_loss_on_a_step_waits_before_it_runs_again(
    app, aclient, working, ghost, keys, link_to_real, real
):
    """
    [C22] With backoff, spread so that what was lost with a poison step does not meet it again.
    """
    run = await aclient.submit("fine")
    waits = []
    for _ in range(3):
        ghost.claim("fine")
        carry_out(link_to_real, recover_worker("ghost", Env(keys, app.settings)))
        status = await run.status()
        waits.append(
            round((status.due_at - status.updated_at).total_seconds(), 3) if status.due_at else 0
        )
        real.hset(keys.run(run.id), "due", 1)
        real.zadd(keys.due, {f"run:{run.id}": 1}, xx=True)
        link_to_real.call(move_due(keys, given="", now=1.0))
    assert waits[0] == 0
    assert 0.5 <= waits[1] <= 1.5
    assert 1 <= waits[2] <= 3
    await run.cancel()


async def test_progress_under_a_claim_sets_the_count_of_crashes_back(
    app, aclient, working, ghost, keys, real
):
    """[C22] A memo is progress."""
    seen = []

    @app.runner("memo", retry=RetryPolicy(max_attempts=3, initial=100))
    async def memo(step):
        seen.append((await aclient.status(step.run_id)).crashes)
        await step.memo.put("k", 1)
        seen.append((await aclient.status(step.run_id)).crashes)
        raise ValueError

    run = await aclient.submit("memo")
    ghost.claim("memo")
    ghost.die()
    async with working(app):
        await until(lambda: in_state(run, "scheduled"))
    assert seen == [1, 0]
    assert (await run.status()).crashes == 0


async def test_a_supervisor_that_knows_its_worker_is_dead_need_not_wait_for_the_lease(
    app, aclient, ghost, link_to_real, keys
):
    """[C35]"""
    runs = [await aclient.submit("fine") for _ in range(3)]
    ghost.claim("fine")
    env = Env(keys, app.settings)
    assert len(carry_out(link_to_real, claims_of("ghost", env))) == 3
    assert carry_out(link_to_real, recover_worker("someone-else", env)) == 0
    assert carry_out(link_to_real, recover_worker("ghost", env)) == 3
    assert all([await in_state(run, "pending") for run in runs])


@pytest.mark.parametrize(
    "outcome",
    [Succeed("late"), Continue("late"), ValueError("late")],
    ids=["Succeed", "Continue", "raises"],
)
async def test_a_late_commit_changes_nothing_and_is_logged(
    app, aclient, working, keys, link_to_real, caplog, outcome
):
    """[C13] Commit is at most once: the claim was another's by then."""
    attempts = []

    @app.runner("slow", retry=QUICK)
    async def slow(step):
        attempts.append(step.attempt)
        if len(attempts) == 1:
            assert carry_out(
                link_to_real, hand_over_again(step.run_id, Lost(), "", Env(keys, app.settings))
            )
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        return Succeed("in time")

    async with working(app):
        run = await aclient.submit("slow", "p")
        assert await run.result(60) == "in time"
    status = await run.status()
    assert (status.crashes, status.payload, attempts) == (1, "p", [1, 1])
    assert "late commit refused" in caplog.text


async def test_a_worker_that_finds_a_lower_rev_drops_what_it_holds_and_says_so(
    app, aclient, working, real, keys, caplog, ghost
):
    """[C36] The server came back without its last writes."""
    seen = []

    @app.runner("chain")
    async def chain(step):
        seen.append(step.number)
        if step.number == 3 and seen.count(3) == 1:
            before = real.hgetall(keys.run(step.run_id))
            real.hset(
                keys.run(step.run_id),
                mapping={**before, b"rev": int(before[b"rev"]) - 2, b"step": 1},
            )
            real.zadd(keys.claims, {f"run:{step.run_id}": 1.0})
        return Continue(step.number) if step.number < 4 else Succeed("done")

    async with working(app):
        run = await aclient.submit("chain")
        assert await run.result(60) == "done"
    assert seen == [0, 1, 2, 3, 1, 2, 3, 4]
    assert "the server lost its last writes" in caplog.text


async def test_a_run_whose_queue_entry_is_gone_is_handed_over_again(
    app, aclient, working, real, fine
):
    """[C13] `rq empty`, or a stock worker killed at the wrong moment; counts as nothing."""
    run = await aclient.submit("fine")
    real.delete("rq:queue:default", f"rq:job:run-{run.id}-0")
    real.zadd("stepflow:queued_at:default", {f"run:{run.id}": 1.0})
    async with working(app):
        assert await run.result(60) == [0, 1]
    assert (await run.status()).crashes == 0


async def test_what_a_killed_stock_worker_left_in_rqs_intermediate_queue_is_tidied_up(
    app, aclient, working, real, fine
):
    """[C13] [C38]"""
    run = await aclient.submit("fine")
    real.lmove("rq:queue:default", "rq:queue:default:intermediate", "LEFT", "RIGHT")
    real.zadd("stepflow:queued_at:default", {f"run:{run.id}": 1.0})
    async with working(app):
        assert await run.result(60) == [0, 1]
    assert real.llen("rq:queue:default:intermediate") == 0


async def test_a_run_that_only_waits_its_turn_is_not_handed_over_again(
    app, aclient, working, real, fine
):
    """[C13] Negative control: what is queued later than the queue's head has its entry."""
    async with working(app, queues=["default"], concurrency=1) as worker:
        runs = await aclient.submit_many([("fine", number) for number in range(50)])
        await asyncio.gather(*[run.wait(60) for run in runs])
        assert worker.worker_state.finished_steps == 50


async def test_a_leaving_worker_lets_running_steps_finish_and_commits_them(app, aclient, working):
    """[C34]"""
    go = asyncio.Event()

    @app.runner("slow")
    async def slow(step):
        await go.wait()
        return Succeed("committed")

    async with working(app) as worker:
        run = await aclient.submit("slow")
        await until(lambda: in_state(run, "running"))
        worker.leave()
        later = await aclient.submit("slow")
        asyncio.get_running_loop().call_later(0.05, go.set)
    assert (await run.status()).result == "committed"
    assert await in_state(later, "pending")


@pytest.mark.crash
@pytest.mark.parametrize("is_async", [True, False])
async def test_what_does_not_finish_within_the_grace_is_handed_back_and_counts_nothing(
    app, aclient, working, is_async
):
    """[C34] [C22] Leaving never waits for threads. [C23]"""
    release = threading.Event()

    async def deaf_async(step):
        await asyncio.Event().wait()

    def deaf(step):
        release.wait(60)
        return Succeed("ignored")

    app.register("deaf", deaf_async if is_async else deaf, retry=QUICK)
    async with working(app):
        run = await aclient.submit("deaf")
        await until(lambda: in_state(run, "running"))
    status = await run.status()
    assert (status.state, status.attempt, status.crashes) == ("pending", 1, 0)
    release.set()


async def test_a_kept_chain_is_let_go_by_a_leaving_worker_and_goes_on_elsewhere(
    app, aclient, working
):
    """[C34]"""
    seen, over = [], []

    @app.runner("chain")
    async def chain(step):
        seen.append((step.number, step.attempt))
        await asyncio.sleep(0.001)
        return Succeed(step.number) if over else Continue()

    async with working(app):
        run = await aclient.submit("chain")
        await until(lambda: len(seen) > 5)
    assert await in_state(run, "pending")
    over.append(True)
    async with working(app):
        await run.result(60)
    assert seen == [(number, 1) for number in range(len(seen))]


async def test_burst_leaves_when_the_queues_are_empty(app, aclient, working, fine):
    """[C33]"""
    runs = await aclient.submit_many([("fine", number) for number in range(30)])
    async with working(app, burst=True, concurrency=3) as worker:
        await until(worker._leave.is_set)
    assert all([await in_state(run, "succeeded") for run in runs])


async def test_workers_and_clients_go_on_after_their_connections_were_cut(
    app, aclient, working, real
):
    """[C36]"""
    seen = []

    @app.runner("chain")
    async def chain(step):
        seen.append(step.number)
        await asyncio.sleep(0.002)
        return Continue() if step.number < 60 else Succeed("done")

    async with working(app):
        runs = [await aclient.submit("chain") for _ in range(3)]
        for _ in range(3):
            count = len(seen) + 20
            await until(lambda count=count: len(seen) > count)
            real.client_kill_filter(_type="normal", skipme=True)
            real.client_kill_filter(_type="pubsub", skipme=True)
        assert [await run.result(60) for run in runs] == ["done"] * 3
    assert [(await run.status()).crashes for run in runs] == [0, 0, 0]
    assert len(seen) == 61 * 3


async def test_a_claim_whose_reply_was_lost_is_taken_up_by_its_worker(
    app, aclient, working, real, keys, link_to_real, fine
):
    """[C13] A claim is never sent twice: the worker lists what stands under its name."""
    async with working(app) as worker:
        from stepflow.store.claims import claim_steps, sources_of

        run = await aclient.submit("fine", queue="aside")
        call = claim_steps(
            keys, sources_of(keys, "aside"), given="", stem=f"{worker.worker_state.name}.",
            number=worker.worker_state.take_numbers(1), lease_s=1000.0, limit=1, live_workers=1,
            worker=worker.worker_state.name, now=0.0, runners=["fine"],
        )  # fmt: skip
        assert len(link_to_real.call(call).taken) == 1
        real.client_kill_filter(_type="normal", skipme=True)
        assert await run.result(60) == [0, 1]
    assert (await run.status()).crashes == 0


async def test_scripts_that_the_server_forgot_are_loaded_again(app, aclient, working, real, fine):
    """[C36]"""
    async with working(app):
        for _ in range(5):
            real.script_flush()
            assert await (await aclient.submit("fine")).result(60) == [0, 1]


async def test_while_redis_refuses_to_write_a_step_is_kept_and_committed_later(
    app, aclient, working, real, caplog
):
    """[C39] Full: said, and nothing lost."""
    go = asyncio.Event()

    @app.runner("slow")
    async def slow(step):
        await go.wait()
        return Succeed("kept")

    async with working(app):
        run = await aclient.submit("slow")
        await until(lambda: in_state(run, "running"))
        real.config_set("maxmemory", 1)
        try:
            go.set()
            await until(lambda: "cannot be committed" in caplog.text)
        finally:
            real.config_set("maxmemory", 0)
        assert await run.result(60) == "kept"
    assert "give it more memory" in caplog.text


async def test_a_client_is_told_when_redis_is_full(aclient, real):
    """[C39]"""
    from stepflow.errors import RedisRefused

    real.config_set("maxmemory", 1)
    try:
        with pytest.raises(
            RedisRefused, match="give it more memory or delete data; nothing was written"
        ):
            await aclient.submit("x")
    finally:
        real.config_set("maxmemory", 0)
