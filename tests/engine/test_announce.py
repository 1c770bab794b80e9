"""
What a worker says once at its start: ends that came before it are told, and what Redis lost is said
again.
"""

import pytest

from stepflow import Client, Stepflow, Succeed, Webhook
from stepflow.engine.cancel import cancel
from stepflow.engine.env import Env
from stepflow.engine.redeliver import hooks_of_run
from stepflow.store.connection.sync import carry_out
from stepflow.worker.announce import announce
from tests.support import until


@pytest.fixture
def seen():
    return []


@pytest.fixture
def late_app(app, seen):
    """An app with two hooks whose first worker comes late."""

    @app.runner("x")
    async def x(step):
        return Succeed()

    @app.on_terminal
    def one(outcome):
        seen.append(("one", outcome.run_id, outcome.status, outcome.reason))

    @app.on_terminal
    async def two(outcome):
        seen.append(("two", outcome.run_id, outcome.status, outcome.reason))

    return app


async def test_an_end_before_the_first_worker_of_its_app_is_told_when_one_starts(
    late_app, aclient, working, seen
):
    """
    [B27] A plain client knows no hooks; the ids are those that the end itself would have given.
    """
    hook = Webhook("http://127.0.0.1:9/told")
    run = await aclient.submit("x", run_id="early", webhooks=[hook])
    assert await run.cancel("enough")
    assert [hook.id for hook in await aclient.hooks("early")] == ["early-0-1-0"]
    async with working(late_app):
        await until(lambda: len(seen) == 2)
        assert [hook.id for hook in await aclient.hooks("early")] == [
            "early-0-1-0",
            "early-0-1-1",
            "early-0-1-2",
        ]
    async with working(late_app):
        pass
    assert sorted(seen) == [
        ("one", "early", "cancelled", "enough"),
        ("two", "early", "cancelled", "enough"),
    ]


async def test_an_apps_own_client_knows_its_hooks_before_any_worker(
    late_app, client, working, seen, real, keys
):
    """[B27]"""
    client.submit("x", run_id="early")
    assert client.cancel("early")
    assert [hook.state for hook in client.hooks("early")] == ["pending", "pending"]
    assert not real.exists(keys.untold("x"))
    async with late_app.async_client as async_client:
        run = await async_client.submit("x", run_id="second")
        await run.cancel()
        assert len(await async_client.hooks("second")) == 2
    async with working(late_app):
        await until(lambda: len(seen) == 4)


async def test_each_way_to_end_before_the_first_worker_is_told(
    late_app, aclient, working, seen, url, settings
):
    """
    [B27] By hand, or by its time limit in the maintenance of another app's worker.

    The note says what became of the run since.
    """
    other = Stepflow(url, settings=settings)

    @other.runner("y")
    async def y(step):
        return Succeed()

    await (await aclient.submit("x", run_id="by-hand")).cancel()
    await aclient.submit("x", run_id="failed")
    await aclient.fail("failed", "no")
    late = await aclient.submit("x", run_id="late", timeout=0.01)
    await (await aclient.submit("x", run_id="again")).cancel()
    await aclient.submit("x", run_id="again", on_conflict="restart", queue="nobody")
    async with working(other, queues=["other"]):
        await late.wait(60)
    await aclient.retry("failed")
    async with working(late_app, queues=["quiet"]):
        await until(lambda: len(seen) == 8)
    assert sorted(each[1:] for each in seen if each[0] == "one") == [
        ("again", "cancelled", ""), ("by-hand", "cancelled", ""), ("failed", "failed", "no"),
        ("late", "failed", "deadline"),
    ]  # fmt: skip


@pytest.mark.parametrize("dies_after", range(4))
def test_a_worker_killed_while_it_announces_leaves_the_rest_to_the_next(
    late_app, connection, keys, settings, dies_after
):
    """[B27] Wherever it dies, and if it writes once more what it wrote: each end is told once."""
    env = Env(keys, settings)
    client = Client(settings=settings, connection=connection)
    for name in ("a", "b"):
        client.submit("x", run_id=name)
        client.cancel(name)
    dying, answers = announce(late_app.registry, env), None
    for _ in range(dies_after):
        calls = dying.send(answers)
        answers, _ = [connection.calls(calls) for _ in "12"]
    dying.close()
    for _ in range(2):
        carry_out(connection, announce(late_app.registry, env))
    for name in ("a", "b"):
        hooks = carry_out(connection, hooks_of_run(name, env, limit=5))
        assert [(hook.id, hook.state, hook.rev) for hook in hooks] == [
            (f"{name}-0-1-0", "pending", 1), (f"{name}-0-1-1", "pending", 1),
        ]  # fmt: skip
    assert connection.client.llen("rq:queue:stepflow.hooks") == 4
    assert not connection.client.exists(keys.untold("x"))
    connection.client.flushall()


def test_an_end_that_meets_the_announcement_is_told_once(late_app, connection, keys, settings):
    """[B27] Whoever looked before the hooks were known looks again."""
    env = Env(keys, settings)
    client = Client(settings=settings, connection=connection)
    client.submit("x", run_id="a")
    ending = cancel("a", "enough", env)
    answers = connection.calls(ending.send(None))
    answers = connection.calls(ending.send(answers))  # no hooks are known
    finish = ending.send(answers)
    carry_out(connection, announce(late_app.registry, env))
    [answer] = connection.calls(finish)
    assert answer[0] == 0
    assert carry_on(ending, [answer], connection) is True
    assert connection.client.llen("rq:queue:stepflow.hooks") == 2
    assert not connection.client.exists(keys.untold("x"))
    connection.client.flushall()


def carry_on(plan, answers, connection):
    """Carry a plan out from where it stands."""
    try:
        while True:
            answers = connection.calls(plan.send(answers))
    except StopIteration as end:
        return end.value


def test_notes_are_bounded_in_number_and_time(late_app, connection, keys, settings, monkeypatch):
    """[B27] The oldest go first; all of them with the retention of results."""
    monkeypatch.setattr("stepflow.store.runs.end.MOST_UNTOLD", 3)
    client = Client(settings=settings, connection=connection)
    for number in range(5):
        client.submit("x", run_id=f"r{number}")
        client.cancel(f"r{number}")
    notes = connection.client.zrange(keys.untold("x"), 0, -1)
    assert [b"r2" in notes[0], b"r3" in notes[1], b"r4" in notes[2]] == [True] * len(notes)
    assert 0 < connection.client.ttl(keys.untold("x")) <= settings.retention.result_s
    connection.client.flushall()


@pytest.mark.parametrize("written", [b"\xc1", b"", b"\x93\x01", b"\xc0", b"\x94\x01\x02\xa1x\xc0"])
def test_an_end_that_a_worker_cannot_read_stops_no_other_and_stays_for_one_that_can(
    late_app, connection, keys, settings, written, caplog
):
    """[B27] Such as one that was sealed with a key which this worker does not have."""
    env = Env(keys, settings)
    client = Client(settings=settings, connection=connection)
    for name in "abc":
        client.submit("x", run_id=name)
        client.cancel(name)
    notes = keys.untold("x")
    connection.client.zadd(notes, {written: 0})
    for _ in range(2):
        carry_out(connection, announce(late_app.registry, env))
        assert connection.client.zrange(notes, 0, -1) == [written]
        assert connection.client.llen("rq:queue:stepflow.hooks") == 6
    assert [each.levelname for each in caplog.records if "cannot be read" in each.message] == [
        "ERROR", "ERROR",
    ]  # fmt: skip
    connection.client.flushall()


def test_pages_of_ends_that_cannot_be_read_stand_in_nobodys_way(
    late_app, connection, keys, settings, monkeypatch
):
    """[B27]"""
    monkeypatch.setattr("stepflow.worker.announce.PAGE", 2)
    monkeypatch.setattr("stepflow.worker.announce.MOST_UNTOLD", 20)
    client = Client(settings=settings, connection=connection)
    for name in "abc":
        client.submit("x", run_id=name)
        client.cancel(name)
    notes = keys.untold("x")
    connection.client.zadd(notes, {b"\xc1%d" % number: 0 for number in range(5)})
    carry_out(connection, announce(late_app.registry, Env(keys, settings)))
    assert connection.client.zcard(notes) == 5
    assert connection.client.llen("rq:queue:stepflow.hooks") == 6
    connection.client.flushall()


async def test_what_a_worker_said_at_its_start_is_said_again_when_redis_lost_it(
    late_app, aclient, working, seen, real, keys
):
    """[B23] After FLUSHALL the next ends from outside are told as before."""
    async with working(late_app):
        assert real.hkeys(keys.app_hooks) == [b"x"]
        real.flushall()
        run = await aclient.submit("x", run_id="r", queue="nobody")
        await run.cancel()
        await until(lambda: real.hkeys(keys.app_hooks) == [b"x"])
        await until(lambda: len(seen) == 2)


async def test_a_worker_that_is_known_says_nothing_again(late_app, working, real, keys):
    """[B23] No command more in normal operation."""
    async with working(late_app):
        real.delete(keys.app_hooks)
        before = real.info("commandstats")["cmdstat_zadd"]["calls"]
        await until(lambda: real.info("commandstats")["cmdstat_zadd"]["calls"] > before + 3)
        assert not real.exists(keys.app_hooks)
