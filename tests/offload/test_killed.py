"""A worker is killed between a value in its store and what leads to it: nothing is lost."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from stepflow import Client, RunSpec
from tests.crash.support.cluster import Cluster

pytestmark = pytest.mark.crash

SIZE = 100_000


@pytest.fixture
def cluster(folder) -> Iterator[Cluster]:
    """A cluster whose workers have a store for large values."""
    with Cluster(STEPFLOW_WORKER_LEASE_S=1, STEPFLOW_OFFLOAD_URL=folder) as cluster:
        yield cluster


@pytest.mark.parametrize("times", [1, 2, 5, 8])
def test_a_worker_killed_before_an_entry_leads_to_a_value_costs_one_call(cluster, settings, times):
    """[S16] [C13]"""
    doomed = cluster.worker("--concurrency", "4", CRASH_AT=f"offload.done:{times}")
    runs = cluster.submit(RunSpec("large", SIZE, run_id=f"large-{n}") for n in range(3))
    assert doomed.wait() == -signal.SIGKILL
    cluster.worker("--concurrency", "4")
    cluster.all_ended(runs)
    with Client(cluster.server.url, settings=settings) as client:
        values = {run_id: client.result(run_id, 60) for run_id in runs}
    assert values == {run_id: [bytes([n]) * SIZE for n in range(3)] for run_id in runs}
    calls = Counter(cluster.witness.read_text().splitlines())
    wanted = {f"{run_id} large-{n}" for run_id in runs for n in range(3)}
    assert set(calls) == wanted
    # of each run one step at most was under way
    assert sum(calls.values()) <= len(wanted) + len(runs)


def test_a_worker_killed_with_a_replay_reads_what_the_other_wrote(cluster, settings):
    """[S16] [F1]"""
    first = cluster.worker("--concurrency", "4", CRASH_AT="journal.done:2")
    [run_id] = cluster.submit([RunSpec("large", SIZE, run_id="large-1")])
    assert first.wait() == -signal.SIGKILL
    cluster.worker("--concurrency", "4")
    cluster.all_ended([run_id])
    calls = Counter(cluster.witness.read_text().splitlines())
    assert [calls[f"large-1 large-{n}"] for n in range(2)] == [1, 1]
    with Client(cluster.server.url, settings=settings) as client:
        assert client.result(run_id, 60) == [bytes([n]) * SIZE for n in range(3)]
