"""Workers are killed between a hook and its settlement: what it writes is there once, or never."""

from __future__ import annotations

import signal

import pytest

from stepflow import RunSpec
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

RUNS = 40
APP = ("--app", "tests.crash.hooks.app:app")


@pytest.mark.parametrize("point", ["notify.sent", "notify.done"])
@pytest.mark.parametrize("times", [1, 15])
def test_a_worker_killed_between_a_hook_and_its_settlement_writes_all_or_nothing(
    make_cluster, point, times
):
    """[K18] Each end has one run and one value that names it, whoever dies in between."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    doomed = cluster.worker(*APP, CRASH_AT=f"{point}:{times}")
    client = cluster.client
    runs = [
        run.id
        for run in client.submit_many(RunSpec("first", n, run_id=f"f-{n}") for n in range(RUNS))
    ]
    assert doomed.wait() == -signal.SIGKILL
    named = [client.kv(run_id, "next") for run_id in runs]
    begun = {row.id for row in client.list(runner="second", limit=200).runs}
    assert {name for name in named if name} == begun
    cluster.worker(*APP)
    until(lambda: all(client.kv(run_id, "next") for run_id in runs), what="a value of each hook")
    until(
        lambda: len(client.list(runner="second", state="succeeded", limit=200).runs) == RUNS,
        what="a run of each hook",
    )
    named = [client.kv(run_id, "next") for run_id in runs]
    ended = client.list(runner="second", limit=200).runs
    assert sorted(row.id for row in ended) == sorted(named)
    assert sorted(client.status(row.id).result for row in ended) == list(range(RUNS))
