"""
[B26] Three sentinels, a primary that is killed under load and comes back as a replica, and one that
is demoted.
"""

import asyncio
from pathlib import Path

import pytest

from stepflow import AsyncClient, Client, RunSpec
from stepflow.errors import StepflowError, UnavailableError
from stepflow.settings import RedisSettings, Settings
from tests.crash.support.app import path
from tests.crash.support.sentinels import Sentinels
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


@pytest.fixture
def watched(make_cluster, tmp_path_factory):
    """A cluster whose workers and clients are told of the sentinels only."""
    cluster = make_cluster()
    folder = Path(tmp_path_factory.mktemp("sentinels"))
    with Sentinels(folder) as sentinels:
        cluster.environment["STEPFLOW_REDIS_URL"] = sentinels.url
        client = Client(sentinels.url, settings=Settings(redis=RedisSettings(retry_for_s=30.0)))
        yield cluster, sentinels, client
        client.close()
        for process in cluster.processes:
            process.kill_group()


def load(prefix, count=30):
    return [
        RunSpec("chain", path(5, pause=0.2), run_id=f"{prefix}-{number}") for number in range(count)
    ]


def all_succeed(client, specs):
    """
    Wait for the end of all; what the replica had not received when it took over is submitted again,
    as its user would.
    """
    left = {spec.run_id: spec for spec in specs}

    def none_left():
        for run_id, spec in list(left.items()):
            found = client.status(run_id)
            if found is None:
                client.submit_many([spec])
            elif found.is_finished:
                assert found.state == "succeeded", found
                del left[run_id]
        return not left

    until(none_left, what="all runs to end", look_s=0.1)


def test_a_primary_killed_under_load_is_taken_over_and_comes_back_as_a_replica(watched):
    """[B26]"""
    cluster, sentinels, client = watched
    workers = [cluster.worker() for _ in range(2)]
    specs = load("killed")
    client.submit_many(specs)
    before = sentinels.primary()
    sentinels.watchers[0].kill()  # the sentinel that is asked first is down as well
    before.kill()
    more = load("during", 10)
    client.submit_many(more)
    after = sentinels.primary()
    assert after is not before
    all_succeed(client, specs + more)
    before.start()
    until(lambda: before.role() == "slave", what="the old primary to be a replica")
    specs = load("back", 10)
    client.submit_many(specs)
    all_succeed(client, specs)
    assert all(worker.is_alive and "Traceback" not in worker.said for worker in workers)


def test_a_failover_with_connections_left_open_is_followed(watched):
    """[B26] [B20] The old primary goes on answering, as a replica."""
    cluster, sentinels, client = watched
    workers = [cluster.worker() for _ in range(2)]

    async def watch_async():
        async with AsyncClient(sentinels.url, settings=client.settings) as aclient:
            for turn in range(2):
                specs = load(f"turn{turn}", 20)
                await aclient.submit_many(specs)
                before = sentinels.primary()
                await asyncio.to_thread(
                    until, lambda: _failed_over(sentinels), what="a failover to begin"
                )
                await asyncio.to_thread(
                    until, lambda b=before: b.role() == "slave", what="the primary to be demoted"
                )
                more = load(f"after{turn}", 10)
                await aclient.submit_many(more)
                await asyncio.to_thread(all_succeed, client, specs + more)
                run = await aclient.wait(more[0].run_id, 60)
                assert run.state == "succeeded"
                await asyncio.to_thread(
                    until, sentinels.is_whole, what="the old primary to follow the new one"
                )

    asyncio.run(watch_async())
    assert all(worker.is_alive and "Traceback" not in worker.said for worker in workers)


def _failed_over(sentinels):
    try:
        return sentinels.watchers[0].client.execute_command("SENTINEL", "FAILOVER", "main")
    except Exception:  # noqa: BLE001  another failover is still under way
        return False


def test_a_sentinel_behind_a_plain_url_and_a_service_nobody_knows_are_said(watched):
    """[B22] [B26]"""
    cluster, sentinels, _ = watched
    plain = f"redis://127.0.0.1:{sentinels.watchers[0].port}"
    worker = cluster.worker(ready=False, STEPFLOW_REDIS_URL=plain)
    assert worker.wait() != 0
    assert "this is a Sentinel, not the Redis it watches: write redis+sentinel://" in worker.said
    quick = Settings(redis=RedisSettings(retry_for_s=0.2))
    with (
        Client(plain, settings=quick) as client,
        pytest.raises(UnavailableError, match="may be a Sentinel"),
    ):
        client.submit("chain", path(1))
    unknown = r"no sentinel knows the primary of 'other'.*knows no such service"
    other = sentinels.url.replace("/main/", "/other/")
    with Client(other, settings=quick) as client, pytest.raises(StepflowError, match=unknown):
        client.submit("chain", path(1))
    data = f"redis+sentinel://127.0.0.1:{sentinels.data[0].port}/main"
    with (
        Client(data, settings=quick) as client,
        pytest.raises(StepflowError, match="is no Sentinel"),
    ):
        client.submit("chain", path(1))
