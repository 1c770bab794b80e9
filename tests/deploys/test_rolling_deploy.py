"""Old and new code side by side over runs in flight, and kills in between."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from stepflow import RunSpec, SignalRefused
from tests.crash.support.checker import nothing_left_over
from tests.crash.support.cluster import ROOT, Cluster, Process
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

#: one deploy of a workflow: its first step is called as the deploy is, and so is its last
SOURCE = """
import os
from pathlib import Path
from stepflow import Context, Stepflow

app = Stepflow()

def note(word: str) -> str:
    return word

@app.workflow("order")
async def order(ctx: Context, number: int) -> list:
    first = await ctx.step("first {name}", note, "{name}")
    await ctx.wait_for_signal("go")
    last = await ctx.step("last {name}", note, "{name}")
    return [first, last]

@app.on_paused
def paused(outcome) -> None:
    with Path(os.environ["CRASH_WITNESS"]).open("a") as file:
        file.write(f"paused {{outcome.run_id}}\\n")
"""

FROM_OLD, LATER = 150, 150


def deploy(cluster: Cluster, name: str) -> dict[str, str]:
    """Write a deploy; give the environment of its workers."""
    folder = cluster.folder / name
    folder.mkdir()
    (folder / "orders.py").write_text(SOURCE.format(name=name))
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


def start(cluster: Cluster, deployed: dict[str, str], *, ready: bool = True) -> Process:
    return cluster.worker("--app", "orders:app", "--concurrency", "20", ready=ready, **deployed)


def told(witness: Path) -> Counter[str]:
    """Count for each run how often its pause was told."""
    return Counter(line.split()[1] for line in witness.read_text().splitlines())


def signal_all(cluster: Cluster, runs: list[str]) -> None:
    for run_id in runs:
        with suppress(SignalRefused):  # it has ended meanwhile
            cluster.client.signal(run_id, "go", dedup="once")


def test_runs_in_flight_go_on_over_a_rolling_deploy_though_workers_are_killed(make_cluster):
    """
    [U7] Three old and three new workers over three hundred runs: each run ends on the code that it
    began with, and none pauses. Those that are left when the old code is gone pause, say so in log
    and hook, and go on once they are resumed.
    """
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    dice = random.Random(17)
    old, new = deploy(cluster, "old"), deploy(cluster, "new")
    workers = [(old, start(cluster, old)) for _ in range(3)]
    runs = cluster.submit(RunSpec("order", n, run_id=f"old-{n}") for n in range(FROM_OLD))
    left = cluster.submit(RunSpec("order", n, run_id=f"left-{n}") for n in range(20))
    until(lambda: _waiting(cluster, [*runs, *left]) == FROM_OLD + 20, what="all begun on old code")
    workers += [(new, start(cluster, new)) for _ in range(3)]
    runs += cluster.submit(RunSpec("order", n, run_id=f"later-{n}") for n in range(LATER))
    signal_all(cluster, runs)
    next_kill, kills = time.monotonic() + 0.3, 0

    def attack() -> None:
        nonlocal next_kill, kills
        listening = [each for each in workers if "listens to" in each[1].said]
        if time.monotonic() >= next_kill and kills < 6 and listening:
            deployed, victim = dice.choice(listening)
            workers.remove((deployed, victim))
            victim.kill()
            kills += 1
            workers.append((deployed, start(cluster, deployed, ready=False)))
            next_kill = time.monotonic() + 0.4

    cluster.all_ended(runs, also=attack)
    results = {run_id: cluster.status(run_id).result for run_id in runs}
    assert all(results[run_id] == ["old", "old"] for run_id in runs[:FROM_OLD])
    assert all(len(set(result)) == 1 for result in results.values()), "one code from start to end"
    assert not told(cluster.witness)
    handed_on = sum(process.said.count("handed on to workers") for process in cluster.processes)
    assert handed_on > 0, "no worker met a run that did not fit it"

    for _, worker in [each for each in workers if each[0] is old]:
        worker.kill()
    signal_all(cluster, left)
    until(lambda: len(told(cluster.witness)) == len(left), what="all pauses told")
    for run_id in left:
        status = cluster.status(run_id)
        assert status.state == "paused"
        assert "remembered value 'first old', now step 'first new'" in str(status.reason)
        said = [
            process for process in cluster.processes if f"run={run_id} of runner" in process.said
        ]
        assert said, f"no worker said that {run_id} is paused"
    for _ in range(3):
        start(cluster, old)
    for run_id in left:
        cluster.client.resume(run_id)
    cluster.all_ended(left)
    assert all(cluster.status(run_id).result == ["old", "old"] for run_id in left)
    assert set(told(cluster.witness).values()) == {1}
    nothing_left_over(cluster)


def test_a_stock_worker_hands_on_what_its_code_does_not_fit(make_cluster):
    """[U7] RQ's own worker has the new code and announces nothing; ours has the old."""
    cluster = make_cluster()
    old, new = deploy(cluster, "old"), deploy(cluster, "new")
    start(cluster, old)
    runs = cluster.submit(RunSpec("order", n, run_id=f"old-{n}") for n in range(20))
    until(lambda: _waiting(cluster, runs) == len(runs), what="all begun on old code")
    stock = cluster.rq(
        "worker", "-S", "rq.serializers.JSONSerializer", "-u", cluster.server.url, "default",
        STEPFLOW_APP="orders:app", **new,
    )  # fmt: skip
    stock.has_said("Listening on default")
    redis, sent = cluster.server.client, iter(runs)

    def met_a_misfit() -> bool:
        for run_id in runs:
            records = redis.hvals(f"stepflow:run:{run_id}:steps")
            if any(b"elsewhere" in record for record in records):
                return True
        run_id = next(sent, None)
        if run_id is not None:
            cluster.client.signal(run_id, "go", dedup="once")
        return False

    until(met_a_misfit, what="the stock worker to meet a run", look_s=0.5)
    signal_all(cluster, runs)
    cluster.all_ended(runs)
    assert all(cluster.status(run_id).result == ["old", "old"] for run_id in runs)
    assert not told(cluster.witness)


def _waiting(cluster: Cluster, runs: list[str]) -> int:
    with cluster.server.client.pipeline(transaction=False) as pipe:
        for run_id in runs:
            pipe.hget(f"stepflow:run:{run_id}", "state")
        return pipe.execute().count(b"waiting")
