"""
Workers are killed all the time: with a supervisor or without, one by one or as the acceptance of
the issue has it.
"""

import os
import signal

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.killing import Killer
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


def test_three_hundred_runs_end_well_though_a_worker_is_killed_every_second(make_cluster):
    cluster = make_cluster()
    killer = Killer(cluster, "--concurrency", "25", seed=7, most=12, pause_s=1.0)
    runs = cluster.submit(
        RunSpec("chain", path(10, pause=0.05), run_id=f"a-{n}") for n in range(300)
    )
    cluster.all_ended(runs, also=killer)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert killer.kills >= 3
    assert found.attempts_lost > 0, "no kill cost a step: the attack missed"


def test_a_killed_workers_steps_run_elsewhere_once_its_lease_is_over(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=2)
    doomed = cluster.worker("--name", "doomed")
    work = path(2, gate=cluster.gate.file)
    runs = cluster.submit(RunSpec("chain", work, run_id=f"d-{n}") for n in range(5))
    for run_id in runs:
        cluster.reached(run_id, "running")
    doomed.kill()
    cluster.gate.open()
    # it loses no claim of its own, however slow the machine is
    heir = cluster.worker("--name", "heir", ready=False, STEPFLOW_WORKER_LEASE_S=60)
    redis = cluster.server.client
    leases = {run_id: redis.zscore("stepflow:claims", f"run:{run_id}") for run_id in runs}
    cluster.all_ended(runs)
    for run_id in runs:
        records = redis.hgetall(f"stepflow:run:{run_id}:steps")
        lost_at = [
            float(record.split()[-1]) for name, record in records.items() if name.endswith(b"lost")
        ]
        assert len(lost_at) == 1
        assert lost_at[0] >= leases[run_id] - 0.001, "nobody may take what could be alive"
    assert heir.said.count("lost with its worker (crash 1)") == len(runs)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert found.attempts_lost == len(runs)


def test_a_supervisor_hands_over_what_a_dead_child_held_without_waiting_for_the_lease(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=300, STEPFLOW_WORKER_GRACE_S=1)
    supervisor = cluster.program("supervisor", "--processes", "2")
    until(lambda: supervisor.said.count("listens to") == 2, what="two workers")
    runs = cluster.submit(RunSpec("chain", path(4, pause=0.3), run_id=f"d-{n}") for n in range(10))
    for run_id in runs:
        cluster.reached(run_id, "running")
    for pid in pids_of_steps(cluster):
        os.kill(pid, signal.SIGKILL)
    # nothing but the supervisor can know within five minutes that they are dead
    cluster.all_ended(runs)
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0


def pids_of_steps(cluster):
    """Give the processes that steps have begun in."""
    return {int(line.split()[3]) for line in cluster.witness.read_text().splitlines()}


def test_a_poison_step_fails_and_the_innocent_beside_it_keep_their_attempts(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_MAX_CRASHES=4)
    supervisor = cluster.program("supervisor", "--processes", "1")
    poison = cluster.submit([RunSpec("poison", path(1), run_id="poison")])
    innocent = cluster.submit(
        RunSpec("chain", path(4, pause=0.05), run_id=f"h-{n}") for n in range(10)
    )
    cluster.all_ended([*poison, *innocent])
    end = cluster.status("poison")
    assert (end.state, end.error.type) == ("failed", "WorkerLost")
    assert "lost with its worker 5 times" in end.error.message
    assert cluster.witness.read_text().count("poison 0 1") == 5, (
        "its attempts were not counted, its crashes were"
    )
    lines = [
        line.split() for line in cluster.witness.read_text().splitlines() if line.startswith("h-")
    ]
    assert {attempt for _, _, attempt, _, _ in lines} == {"1"}
    assert check(cluster, dict.fromkeys(innocent, "succeeded") | {"poison": "failed"}).all() == []
    assert supervisor.is_alive
