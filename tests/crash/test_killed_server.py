"""
The server is killed and started on its append-only file, or is full: what was acknowledged holds,
workers live on.
"""

import pytest

from stepflow import RunSpec
from stepflow.errors import RedisRefused
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


def some_runs(prefix: str, count: int) -> dict[str, tuple[RunSpec, str]]:
    """A mix of runs with the state each is to end in."""
    kinds = [
        ("chain", path(8, pause=0.05), "succeeded"),
        ("plain", path(4, pause=0.05), "succeeded"),
        ("delayed", path(4, delay=0.1), "succeeded"),
        ("memo", path(2), "succeeded"),
        ("flaky", path(3), "succeeded"),
        ("verdict", path(3), "failed"),
    ]
    made = {}
    for n in range(count):
        runner, payload, end = kinds[n % len(kinds)]
        made[f"{prefix}-{n}"] = RunSpec(runner, payload, run_id=f"{prefix}-{n}"), end
    return made


@pytest.mark.parametrize("durability", ["everysec", "fsync"])
def test_nothing_acknowledged_is_lost_or_done_twice_when_the_server_is_killed(
    make_cluster, durability
):
    cluster = make_cluster(appendfsync="always", STEPFLOW_DURABILITY=durability)
    workers = [cluster.worker("--concurrency", "20") for _ in range(2)]
    work = some_runs("f", 180)
    cluster.submit(spec for spec, _ in work.values())
    redis_ = cluster.server.client
    for share in (0.2, 0.4, 0.6, 0.8):
        until(
            lambda share=share: redis_.zcard("stepflow:idx:live") <= (1 - share) * len(work),
            what="progress",
        )
        cluster.server.restart()
    cluster.all_ended(work)
    found = check(cluster, {run_id: end for run_id, (_, end) in work.items()})
    assert found.all() == []
    assert all(worker.is_alive and "Traceback" not in worker.said for worker in workers)


def test_with_everysec_a_kill_undoes_seconds_but_nothing_is_doubled_or_stuck(make_cluster):
    cluster = make_cluster(appendfsync="everysec")
    workers = [cluster.worker("--concurrency", "20") for _ in range(2)]
    work = some_runs("s", 180)
    submitted = cluster.submit(spec for spec, _ in work.values())
    redis_ = cluster.server.client
    for share in (0.3, 0.6):
        until(
            lambda share=share: redis_.zcard("stepflow:idx:live") <= (1 - share) * len(work),
            what="progress",
        )
        cluster.server.restart()
    kept = [run_id for run_id in submitted if redis_.exists(f"stepflow:run:{run_id}")]
    cluster.all_ended(kept)
    found = check(cluster, {run_id: work[run_id][1] for run_id in kept})
    assert found.all() == []
    assert all(worker.is_alive and "Traceback" not in worker.said for worker in workers)


def test_a_worker_that_saw_more_than_the_server_kept_drops_what_it_holds(make_cluster):
    """An undone second is played by hand, for a kill undoes nothing that the kernel still holds."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=5)
    worker, gate = cluster.worker(), cluster.gate
    cluster.submit([RunSpec("chain", path(6, gate=gate.file), run_id="undone")])
    gate.open(through=0)
    cluster.reached("undone", "running", 1)
    server = cluster.server.client
    server.config_set("appendonly", "no")  # what follows is not written down ...
    gate.open(through=2)
    cluster.reached("undone", "running", 3)
    cluster.server.restart()  # ... and so it never was
    assert cluster.status("undone").step < 3
    gate.open()
    worker.has_said("the server lost its last writes")
    cluster.all_ended(["undone"])
    assert check(cluster, {"undone": "succeeded"}).all() == []


def test_a_worker_notices_that_the_server_was_started_again_and_drops_what_that_has_lost(
    make_cluster,
):
    """[C36] Long before a renewal would tell: the next one is due in 20 minutes."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S="3600")
    worker = cluster.worker()
    cluster.submit([RunSpec("listener", run_id="kept")])
    cluster.reached("kept", "running")
    cluster.server.client.config_set("appendonly", "no")  # what follows is not written down
    cluster.submit([RunSpec("listener", run_id="lost")])
    cluster.reached("lost", "running")
    cluster.server.restart()
    worker.has_said("Redis: the server was started again")
    worker.has_said("run=lost step=0 dropped: Redis has no such run")
    assert "run=kept step=0 dropped" not in worker.said
    assert cluster.client.cancel("kept")
    cluster.reached("kept", "cancelled")


def test_a_full_server_refuses_in_words_and_all_goes_on_when_it_has_room(make_cluster):
    cluster = make_cluster()
    worker = cluster.worker("--concurrency", "10")
    held = RunSpec("chain", path(2, gate=cluster.gate.file), run_id="held")
    work = some_runs("g", 60) | {"held": (held, "succeeded")}
    cluster.submit(spec for spec, _ in work.values())
    server = cluster.server.client
    until(lambda: "held" in cluster.witness.read_text(), what="a step that is held")
    until(lambda: server.zcard("stepflow:idx:live") < 55, what="progress")
    server.config_set("maxmemory", "1mb")
    with pytest.raises(RedisRefused, match="give it more memory"):
        cluster.client.submit("chain", path(1), run_id="no-room")
    cluster.gate.open()
    worker.has_said("cannot be committed")
    stood = server.zcard("stepflow:idx:live")
    assert stood > 0
    server.config_set("maxmemory", "0")
    cluster.all_ended(work)
    assert cluster.client.status("no-room") is None
    found = check(cluster, {run_id: end for run_id, (_, end) in work.items()})
    assert found.all() == []
    assert worker.is_alive
    assert "Traceback" not in worker.said
