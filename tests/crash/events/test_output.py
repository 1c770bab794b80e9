"""
Workers are killed and stopped while their steps talk: a reader that obeys resets shows what was
committed, and nothing else.
"""

import asyncio
import random
import signal

import pytest

from stepflow import AsyncClient, OutputEnd, OutputItem, OutputReset, OutputView, RunSpec
from tests.crash.support.checker import nothing_left_over
from tests.crash.support.cluster import Cluster
from tests.crash.support.killing import Killer
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.support.talk:app", "--concurrency", "50")
#: runs, steps of each, and words of each step
RUNS, STEPS = 200, 5


def spoken(view: OutputView) -> list[str]:
    """Give what stands there, one text for each scope that has any."""
    texts: dict[str | None, str] = {}
    for item in view.items:
        texts[item.scope] = texts.get(item.scope, "") + item.data
    return sorted(texts.values())


async def follow(client: AsyncClient, run_id: str, dice: random.Random) -> OutputView:
    """Read to the end, over connections that are cut now and then: nothing is missed or doubled."""
    view, after, seen = OutputView(), None, set()
    while view.state is None:
        left = dice.randrange(20, 200)
        async for event in client.output(run_id, after=after):
            assert event.id not in seen or isinstance(event, OutputEnd)
            seen.add(event.id)
            view.apply(event)
            after, left = event.id, left - 1
            if not left:
                break
    return view


async def test_readers_show_exactly_what_was_committed_though_workers_are_killed(make_cluster):
    """
    [E8] [E9] [E10] [E13] Workflows and runners, read live, late, and as committed; a worker is
    killed each second.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    killer = Killer(cluster, *APP, seed=21, most=12, pause_s=1.0)
    runs = cluster.submit(
        RunSpec("talk", STEPS, run_id=f"t-{n}")
        if n % 2
        else RunSpec("talker", {"steps": STEPS, "told": []}, run_id=f"t-{n}")
        for n in range(RUNS)
    )
    async with AsyncClient(cluster.server.url, settings=cluster.settings) as client:
        reading = [
            asyncio.create_task(follow(client, run_id, random.Random(run_id))) for run_id in runs
        ]
        await asyncio.to_thread(cluster.all_ended, runs, killer)
        live = await asyncio.gather(*reading)
        assert killer.kills >= 2
        voided = 0
        for run_id, view in zip(runs, live, strict=True):
            committed = sorted((await client.status(run_id)).result)
            assert len(committed) == STEPS
            assert spoken(view) == committed, run_id
            late, strict = OutputView(), OutputView()
            async for event in client.output(run_id):
                late.apply(event)
                voided += isinstance(event, OutputReset)
            async for event in client.output(run_id, committed=True):
                assert isinstance(event, OutputItem | OutputEnd)
                strict.apply(event)
            assert spoken(late) == committed, run_id
            assert spoken(strict) == committed, run_id
    assert voided > 0, "no kill cost a word: the attack missed"
    nothing_left_over(cluster)


def test_a_worker_that_was_stopped_past_its_lease_emits_nothing_when_it_comes_back(make_cluster):
    """[E8]"""
    cluster: Cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    stopped = cluster.worker(*APP, "--name", "stopped")
    [run_id] = cluster.submit([RunSpec("mumbler", run_id="m")])
    redis, key = cluster.server.client, "stepflow:run:m:out"
    until(lambda: redis.xlen(key) > 20, what="its first words")
    stopped.send(signal.SIGSTOP)
    other = cluster.worker(*APP, "--name", "other")
    other.has_said("lost with its worker")
    length = redis.xlen(key)
    until(lambda: redis.xlen(key) > length + 20, what="the words of the other")
    stopped.send(signal.SIGCONT)
    stopped.has_said("no more of its output is written")
    length = redis.xlen(key)
    until(lambda: redis.xlen(key) > length + 20, what="more words of the other")
    cluster.client.cancel(run_id)
    cluster.all_ended([run_id])
    events = list(cluster.client.output(run_id))
    [at] = [n for n, event in enumerate(events) if isinstance(event, OutputReset)]
    before, after = events[:at], events[at + 1 : -1]
    assert {event.data[0] for event in before} == {stopped.popen.pid}
    assert {event.data[0] for event in after} == {other.popen.pid}
    assert [event.data[1] for event in after] == list(range(len(after)))
