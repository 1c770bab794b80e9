"""
A proxy loses, halves, doubles and delays what goes between stepflow and Redis: the end is as
without it.
"""

import random
from collections.abc import Callable, Iterator

import pytest

from stepflow import Client, RunSpec
from stepflow.store.scripts import all_scripts
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.cluster import Cluster
from tests.crash.support.proxy import CUT, HALVE, LOSE, PASS, SLOW, SWALLOW, TWICE, Proxy, often
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

#: claims are never sent again by stepflow, and so not by this proxy
SENT_ONCE = {"claim_steps"}
SCRIPTS = sorted(script.name for script in all_scripts())


@pytest.fixture
def spoiled(make_cluster: Callable[..., Cluster]) -> Iterator[tuple[Cluster, Proxy]]:
    """A cluster whose worker and client reach the server through a proxy."""
    cluster = make_cluster()
    with Proxy(cluster.server.socket, cluster.folder / "proxy.sock") as proxy:
        cluster.environment["STEPFLOW_REDIS_URL"] = proxy.url
        cluster.client = client = Client(proxy.url, settings=cluster.settings)
        yield cluster, proxy
        client.close()
        for process in cluster.processes:
            process.kill_group()


def mixed(prefix: str) -> list[tuple[RunSpec, str]]:
    """Runs that among them call every script a worker has, and how each ends."""
    kinds = [
        ("chain", path(5), "succeeded"),
        ("memo", path(2), "succeeded"),
        ("plain-memo", path(2), "succeeded"),
        ("flaky", path(2), "succeeded"),
        ("delayed", path(3, delay=0.05), "succeeded"),
        ("verdict", path(2), "failed"),
        ("chain", path(3, pause=0.6), "succeeded"),
    ]
    return [
        (RunSpec(runner, payload, run_id=f"{prefix}-{number}-{n}"), end)
        for number, (runner, payload, end) in enumerate(kinds)
        for n in range(4)
    ]


def go_through(cluster: Cluster, prefix: str) -> dict[str, str]:
    """Submit one by one and at once, cancel some, wait for all."""
    work = mixed(prefix)
    for spec, _ in work[::2]:
        created = cluster.client.submit(
            spec.runner, spec.payload, run_id=spec.run_id, webhooks=[cluster.sink.webhook]
        ).created
        assert created, "a submit whose reply was lost knows itself"
    for start in range(1, len(work), 6):
        cluster.submit([spec for spec, _ in work[start : start + 6 : 2]])
    doomed = [f"{prefix}-doomed-{n}" for n in range(4)]
    cluster.submit(
        RunSpec("endless" if n % 2 else "listener", path(1), run_id=run_id)
        for n, run_id in enumerate(doomed)
    )
    for run_id in doomed:
        cluster.reached(run_id, "running")
        assert cluster.client.cancel(run_id, "enough")
    expected = {spec.run_id: end for spec, end in work} | dict.fromkeys(doomed, "cancelled")
    cluster.all_ended(expected)
    return expected


@pytest.mark.parametrize("what", [LOSE, HALVE, CUT])
def test_every_script_may_lose_many_a_reply(spoiled, what):
    cluster, proxy = spoiled
    worker = cluster.worker()
    rare = {"renew_claims", "mark_run", "extend_claim", "put_memo"}
    wanted = {
        "submit_run",
        "claim_steps",
        "keep_step",
        "hand_over",
        "finish_run",
        "mark_run",
        "put_memo",
        "commit_hook",
        "renew_claims",
        "move_due",
    }
    usual, more = (
        often(set(SCRIPTS) - rare, what, seed=3, share=0.15),
        often(rare, what, seed=4, share=0.5),
    )
    proxy.rule = lambda name: more(name) if name in rare else usual(name)
    expected: dict[str, str] = {}
    for (
        prefix
    ) in "efghi":  # how often a script is sent depends on the machine: go on until each was hit
        expected |= go_through(cluster, prefix)
        if prefix != "e" and {name for name, _ in proxy.done} >= wanted:
            break
    proxy.rule = lambda name: PASS
    assert check(cluster, expected).all() == []
    hit = {name for name, _ in proxy.done}
    assert hit >= wanted, wanted - hit
    assert "Traceback" not in worker.said


def test_each_script_sent_twice_is_as_if_sent_once(spoiled):
    cluster, proxy = spoiled
    worker = cluster.worker()
    proxy.rule = often(set(SCRIPTS) - SENT_ONCE, TWICE, seed=0, share=1)
    expected = go_through(cluster, "twice") | go_through(cluster, "again")
    proxy.rule = lambda name: PASS
    found = check(cluster, expected)
    assert found.all() == []
    assert proxy.count(TWICE) > 200
    assert "Traceback" not in worker.said


def test_everything_at_once_at_random(spoiled):
    cluster, proxy = spoiled
    dice = random.Random(5)
    workers = [cluster.worker() for _ in range(2)]
    kinds = [PASS] * 300 + [LOSE, LOSE, HALVE, CUT, SLOW]
    proxy.rule = lambda name: dice.choice(kinds)
    expected = go_through(cluster, "chance") | go_through(cluster, "chance2")
    proxy.rule = lambda name: PASS
    assert check(cluster, expected).all() == []
    assert proxy.count(LOSE) + proxy.count(CUT) > 5
    assert all("Traceback" not in worker.said for worker in workers)


def test_a_worker_whose_first_connections_are_lost_tries_again(spoiled):
    cluster, proxy = spoiled
    answers = iter([LOSE, CUT, LOSE])
    proxy.rule = lambda name: next(answers, PASS) if name == "SCRIPT" else PASS
    worker = cluster.worker()
    runs = cluster.submit([RunSpec("chain", path(3), run_id="patient")])
    cluster.all_ended(runs)
    assert proxy.count(LOSE) == 2
    assert "Traceback" not in worker.said


def test_a_worker_whose_server_goes_while_it_starts_says_so_in_one_sentence(spoiled):
    cluster, proxy = spoiled
    greeted = []

    def rule(name: str) -> str:
        greeted.extend([name] if name == "SCRIPT" else [])
        return CUT if greeted else PASS

    proxy.rule = rule
    worker = cluster.worker(ready=False, STEPFLOW_REDIS_RETRY_FOR_S=1)
    until(lambda: not worker.is_alive, what="the worker to give up")
    assert "does not answer" in worker.said.splitlines()[-1]
    assert "Traceback" not in worker.said


def test_a_connection_that_goes_silent_is_given_up(spoiled):
    """Cut cables send no reset: the idle worker's wait for work must not outlive its connection."""
    cluster, proxy = spoiled
    proxy.rule = often("BLPOP", SWALLOW, seed=0, share=1)
    cluster.worker(STEPFLOW_REDIS_REPLY_TIMEOUT_S=1)
    until(lambda: proxy.done["BLPOP", SWALLOW] >= 2, what="the worker to wait for work")
    proxy.rule = lambda name: PASS
    runs = cluster.submit([RunSpec("chain", path(3), run_id="silent")])
    cluster.all_ended(runs)
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []
