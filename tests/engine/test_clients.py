"""Listings, waiting, results, jobs: what both clients give their callers."""

import asyncio
import dataclasses
import subprocess
import sys

import pytest

from stepflow import AsyncClient, Client, PermanentError, RetryPolicy, RunFailed, Succeed
from stepflow.errors import InvalidOption, RedisUnreachable, RunNotFound, ServerUnfit
from stepflow.settings import RedisSettings, RetentionSettings, Settings
from tests.support import runs_of, until, until_blocking


@pytest.fixture
def ends(app):
    @app.runner("ends", retry=RetryPolicy(max_attempts=1))
    async def ends(step):
        if step.payload == "fail":
            raise PermanentError("boom")
        return Succeed(step.payload)


async def test_runs_are_listed_newest_first_a_page_at_a_time(aclient):
    handles = await aclient.submit_many([("x", number) for number in range(25)])
    newest_first = [handle.id for handle in reversed(handles)]
    seen, cursor, pages = [], None, 0
    while True:
        page = await aclient.list(limit=10, cursor=cursor)
        seen += [run.id for run in page]
        cursor, pages = page.cursor, pages + 1
        if cursor is None:
            break
    assert (seen, pages) == (newest_first, 3)


async def test_paging_goes_on_where_it_was_although_runs_come_and_go(aclient):
    first = await aclient.submit_many([("x", number) for number in range(20)])
    page = await aclient.list(limit=5)
    await aclient.submit_many([("x", number) for number in range(7)])
    await first[17].cancel()
    rest = await aclient.list(limit=50, cursor=page.cursor)
    assert [run.id for run in [*page, *rest]] == [handle.id for handle in reversed(first)]


async def test_runs_submitted_in_the_same_microsecond_are_all_listed_once(aclient, real, keys):
    handles = await aclient.submit_many([("x", number) for number in range(12)])
    for handle in handles:
        real.zadd(keys.live, {handle.id: 1_800_000_000.5})
    seen, cursor = [], None
    while True:
        page = await aclient.list(limit=5, cursor=cursor)
        seen += [run.id for run in page]
        if (cursor := page.cursor) is None:
            break
    assert sorted(seen) == sorted(handle.id for handle in handles)


async def test_a_listing_is_by_state_and_runner(app, aclient, working, ends):
    """[C21] Failed runs are the dead letters."""
    async with working(app):
        bad = [await aclient.submit("ends", "fail", run_id=f"bad{number}") for number in range(3)]
        good = await aclient.submit("ends", "fine", run_id="good")
        for run in (*bad, good):
            await run.wait(60)
    await aclient.submit("other", run_id="pends", queue="q")
    await aclient.submit("ends", run_id="sleeps", delay=99)
    await aclient.submit("ends", run_id="gone", queue="q")
    await aclient.cancel("gone")

    async def ids(**by):
        return [run.id for run in await aclient.list(**by)]

    assert await ids(state="failed") == ["bad2", "bad1", "bad0"]
    assert await ids(state="failed", runner="other") == []
    assert await ids(runner="other") == ["pends"]
    assert await ids(runner="ends", state="scheduled") == ["sleeps"]
    assert await ids(state="pending") == ["pends"]
    assert await ids(state="cancelled") == ["gone"]
    assert await ids(runner="ends") == ["gone", "sleeps", "good", "bad2", "bad1", "bad0"]
    assert await ids(limit=2) == ["gone", "sleeps"]


async def test_a_page_of_dead_letters_goes_on_in_the_next(app, aclient, working, ends):
    """[C21]"""
    async with working(app):
        for run in await aclient.submit_many([("ends", "fail")] * 7):
            await run.wait(60)
    one = await aclient.list(state="failed", limit=4)
    two = await aclient.list(state="failed", limit=4, cursor=one.cursor)
    assert (len(one), len(two), two.cursor) == (4, 3, None)
    assert len({run.id for run in [*one, *two]}) == 7


@pytest.mark.parametrize("by", [{"state": "lost"}, {"cursor": "what"}])
async def test_a_listing_by_what_does_not_exist_is_refused(aclient, by):
    with pytest.raises(InvalidOption):
        await aclient.list(**by)


async def test_a_listing_holds_a_run_once_although_it_ends_while_it_is_read(aclient, real, keys):
    """A run moves from one index to another; the two are read one after the other."""
    run = await aclient.submit("x", run_id="moves")
    real.zadd(keys.ended_index("succeeded"), {run.id: real.zscore(keys.live, run.id)})
    real.hset(keys.run(run.id), mapping={"state": "succeeded", "ended": 1_900_000_000})
    assert [found.id for found in await aclient.list()] == ["moves"]
    real.zrem(keys.ended_index("succeeded"), run.id)
    real.hset(keys.run(run.id), mapping={"state": "pending", "ended": ""})


async def test_what_has_ended_goes_after_its_time_and_its_index_entries_with_it(
    url, real, keys, aclient, working
):
    """[C37]"""
    from stepflow import Stepflow

    app = Stepflow(url, settings=Settings(retention=RetentionSettings(result_s=1)))

    @app.runner("x")
    async def x(step):
        step.effects.put("k", 1)
        return Succeed()

    async with working(app):
        run = await aclient.submit("x", run_id="a")
        await run.wait(60)
        assert {real.ttl(key) > 0 for key in real.scan_iter("stepflow:run:a*")} == {True}
        for key in real.scan_iter("stepflow:run:a*"):
            real.pexpire(key, 1)
        real.zadd(keys.expiry, {"succeeded|x|a": 1.0})
        await until(
            lambda: (
                not real.exists(keys.expiry, keys.ended_index("succeeded"))
                and not runs_of(real, "x", keys)
            )
        )
    assert await run.status() is None


async def test_after_any_ending_nothing_lasts_but_the_static_keys(
    app, aclient, working, ends, real
):
    """[C37]"""

    @app.on_terminal
    def note(outcome):
        pass

    async with working(app):
        for what in ("fine", "fail"):
            await (await aclient.submit("ends", what)).wait(60)
        await (await aclient.submit("ends", delay=50)).cancel()
        await until(
            lambda: not real.llen("rq:queue:stepflow.hooks") and not real.zcard("stepflow:claims")
        )
    lasting = {key.decode() for key in real.scan_iter() if real.ttl(key) < 0}
    assert {key.split(":")[1] for key in lasting} <= {
        "queues",
        "totals",
        "stat",
        "idx",
        "app_hooks",
        "versions",
        "format",
    }, lasting


async def test_wait_gives_the_status_at_once_when_the_run_has_ended(app, aclient, working, ends):
    async with working(app):
        run = await aclient.submit("ends", 5)
        assert (await run.wait(60)).result == (await run.wait(0)).result == 5


async def test_wait_raises_timeout_error_and_says_where_the_run_stands(aclient, url, settings):
    run = await aclient.submit("x", run_id="a")
    with pytest.raises(TimeoutError, match=r"run 'a' is still pending after 0.01 s"):
        await run.wait(0.01)
    with (
        Client(url, settings=settings) as client,
        pytest.raises(TimeoutError, match=r"run 'a' is still pending after 0.01 s"),
    ):
        await asyncio.to_thread(client.wait, "a", 0.01)


@pytest.mark.parametrize("timeout", [0, 0.01])
async def test_a_wait_for_a_new_run_that_is_too_short_says_how_it_is(
    aclient, url, settings, real, timeout
):
    """Of a run that was just submitted nobody looks first whether it has ended."""
    for number in range(5):
        run = await aclient.submit("x", run_id=f"a{number}")
        with pytest.raises(TimeoutError, match=f"run 'a{number}' is still pending"):
            await run.wait(timeout)
    with Client(url, settings=settings) as client:
        for number in range(5):
            run = client.submit("x", run_id=f"b{number}")
            with pytest.raises(TimeoutError, match=f"run 'b{number}' is still pending"):
                run.wait(timeout)


async def test_a_new_run_that_is_gone_before_it_is_waited_for_is_not_found(
    aclient, url, settings, real
):
    run = await aclient.submit("x", run_id="a")
    real.flushdb()
    with pytest.raises(RunNotFound):
        await run.wait(60)
    with Client(url, settings=settings) as client:
        run = client.submit("x", run_id="b")
        real.flushdb()
        with pytest.raises(RunNotFound):
            run.wait(60)


async def test_a_new_run_is_waited_for_on_a_loop_that_the_client_has_not_used(
    app, aclient, working, ends, monkeypatch
):
    """It listens there too: with the safety net taken away it still wakes."""
    monkeypatch.setattr("stepflow.client.async_client.SAFETY_NET_S", 1000.0)
    async with working(app):
        run = await aclient.submit("ends", 5, delay=0.3)
        elsewhere = asyncio.to_thread(asyncio.run, aclient.wait(run.id, 12))
        assert (await elsewhere).result == 5


async def test_runs_that_are_waited_for_one_by_one_share_one_more_connection(
    app, working, ends, client, real
):
    async with working(app):
        await asyncio.to_thread(client.submit("ends", 0, delay=0.05).wait, 10)
        opened = real.info("stats")["total_connections_received"]
        for number in range(5):
            run = client.submit("ends", number, delay=0.05)
            assert (await asyncio.to_thread(run.wait, 10)).result == number
        assert real.info("stats")["total_connections_received"] == opened


async def test_wait_for_an_unknown_run_says_so_at_once(aclient, url, settings):
    with pytest.raises(RunNotFound):
        await aclient.wait("nobody", 5)
    with Client(url, settings=settings) as client, pytest.raises(RunNotFound):
        client.result("nobody", 5)


@pytest.mark.parametrize("blocking", [True, False])
async def test_wait_and_result_wake_by_notification(
    app, aclient, working, url, settings, monkeypatch, blocking, real
):
    """[C41] With the safety net taken away they still wake."""
    for kind in ("sync_client", "async_client"):
        monkeypatch.setattr(f"stepflow.client.{kind}.SAFETY_NET_S", 1000.0)
    go = asyncio.Event()

    @app.runner("slow")
    async def slow(step):
        await go.wait()
        return Succeed("told")

    async with working(app):
        run = await aclient.submit("slow")
        with Client(url, settings=settings) as client:
            waiting = asyncio.ensure_future(
                asyncio.to_thread(client.result, run.id, 12) if blocking else run.result(12)
            )
            await until(lambda: real.pubsub_numsub(f"stepflow:done:{run.id}")[0][1] == 1)
            go.set()
            assert await waiting == "told"


async def test_many_wait_for_one_run(app, aclient, working):
    go = asyncio.Event()

    @app.runner("slow")
    async def slow(step):
        await go.wait()
        return Succeed("told")

    async with working(app):
        run = await aclient.submit("slow")
        waiting = [asyncio.ensure_future(run.result(60)) for _ in range(20)]
        impatient = [asyncio.ensure_future(run.wait(0.01)) for _ in range(5)]
        assert {
            type(error) for error in await asyncio.gather(*impatient, return_exceptions=True)
        } == {TimeoutError}
        go.set()
        assert await asyncio.gather(*waiting) == ["told"] * 20


async def test_nobody_listens_any_more_once_waiting_is_over(app, aclient, working, ends, real):
    async with working(app):
        run = await aclient.submit("ends", 1, delay=0.05)
        await run.wait(60)
        await until(lambda: real.pubsub_channels("stepflow:done:*") == [])


def test_a_blocking_client_does_all_that_the_async_one_does():
    """The public face: both have the same methods."""
    public = [
        {name for name in vars(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)
    ]
    assert public[0] - {"connection"} == public[1]


async def test_the_blocking_client_works_from_threads(app, working, client, ends):
    async with working(app):
        runs = await asyncio.gather(
            *[asyncio.to_thread(client.submit, "ends", number) for number in range(20)]
        )
        assert await asyncio.gather(*[asyncio.to_thread(run.result, 10) for run in runs]) == list(
            range(20)
        )


async def test_result_raises_what_became_of_the_run(app, aclient, working, ends):
    async with working(app):
        run = await aclient.submit("ends", "fail", run_id="r")
        with pytest.raises(RunFailed, match=r"run 'r' failed \(PermanentError\): boom") as caught:
            await run.result(60)
    assert (caught.value.error_type, caught.value.error_message, caught.value.run_id) == (
        "PermanentError",
        "boom",
        "r",
    )


@pytest.mark.parametrize("address", ["redis://:s3cret@127.0.0.1:1/0", "unix:///nowhere/redis.sock"])
async def test_a_redis_that_is_not_there_is_said_so_without_its_password(address):
    """[C40]"""
    settings = Settings(redis=RedisSettings(retry_for_s=0.05))
    with (
        pytest.raises(RedisUnreachable, match="does not answer") as caught,
        Client(address, settings=settings) as client,
    ):
        client.status("x")
    async with AsyncClient(address, settings=settings) as other:
        with pytest.raises(RedisUnreachable, match="does not answer") as caught_too:
            await other.status("x")
    assert "s3cret" not in str(caught.value) + str(caught_too.value) + repr(
        client.__dict__.get("_link")
    )


def test_importing_the_client_pulls_in_no_runner_and_no_worker_code():
    code = "import sys, stepflow.client; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    unwanted = {
        "stepflow.worker.worker",
        "stepflow.worker.state",
        "stepflow.worker.execute",
        "stepflow.app",
        "rq",
        "httpx",
    }
    assert not unwanted & set(shown)


@dataclasses.dataclass
class Size:
    width: int
    height: int


async def test_a_job_is_a_typed_function_as_a_run_of_one_step(app, working):
    """[C18]"""

    @app.job
    async def resize(path: str, px: int) -> Size:
        return Size(px, len(path))

    assert (await resize("a.png", 80)).width == 80
    async with working(app):
        handle = await resize.submit("a.png", px="80")
        result = await handle.result(60)
    assert result == Size(80, 5)
    await app.async_client.close()


async def test_a_plain_function_can_be_a_job_and_the_id_may_follow_from_the_arguments(app, working):
    """[C18]"""
    calls = []

    @app.job(dedup=True, retry=RetryPolicy(max_attempts=1))
    def add(a: int, b: int = 1) -> int:
        calls.append((a, b))
        return a + b

    async with working(app):
        first, again = await add.submit(1), await add.submit(a=1)
        other = await add.submit(2)
        assert [await run.result(60) for run in (first, again, other)] == [2, 2, 3]
        blocking = await asyncio.to_thread(add.submit_blocking, 1)
        assert (first.id, first.created, again.created, blocking.created) == (
            again.id,
            True,
            False,
            False,
        )
    assert sorted(calls) == [(1, 1), (2, 1)]
    await app.async_client.close()


async def test_a_job_called_with_arguments_that_do_not_fit_is_refused_here(app):
    """[C18]"""

    @app.job
    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(InvalidOption, match="missing a required argument"):
        await add.submit(1)


async def test_arguments_of_the_wrong_type_fail_the_job_naming_the_parameter(app, working):
    """[C18] [C6]"""

    @app.job(name="add")
    def add(a: int) -> int:
        return a

    async with working(app):
        with pytest.raises(RunFailed, match="a: "):
            await (await add.submit("one")).result(60)
    await app.async_client.close()


def test_a_run_is_waited_for_without_a_loop(client, url, settings):
    run = client.submit("x", run_id="b")
    assert run.cancel()
    assert until_blocking(lambda: run.status().is_finished)
    assert repr(run) == "RunHandle('b', created=True)"


async def test_an_async_client_writes_nothing_among_data_of_another_format(aclient, real, keys):
    """[B13]"""
    real.set(keys.format, b"3")
    with pytest.raises(ServerUnfit, match="a later stepflow has worked here"):
        await aclient.submit("etl", {"n": 1})
    assert real.keys("*") == [keys.format.encode()]
