"""
Workers that are stopped past their lease and come back, block their loop, or overrun: nothing of
theirs counts twice.
"""

import signal

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash


def test_a_worker_stopped_past_its_lease_commits_nothing_when_it_comes_back(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    stopped = cluster.worker("--name", "stopped")
    work = path(3, gate=cluster.gate.file)
    runs = cluster.submit(RunSpec("chain", work, run_id=f"c-{n}") for n in range(10))
    cluster.gate.open(through=0)
    for run_id in runs:
        cluster.reached(run_id, "running", 1)
    stopped.send(signal.SIGSTOP)
    cluster.worker("--name", "other")
    cluster.gate.open()
    cluster.all_ended(runs)
    stopped.send(signal.SIGCONT)
    until(
        lambda: "late commit refused" in stopped.said or "no longer holds it" in stopped.said,
        what="its late commits",
    )
    more = cluster.submit(RunSpec("chain", path(3), run_id=f"c-more-{n}") for n in range(20))
    cluster.all_ended(more)
    found = check(cluster, dict.fromkeys([*runs, *more], "succeeded"))
    assert found.all() == []
    assert found.attempts_lost >= len(runs)
    assert "Traceback" not in stopped.said
    assert stopped.is_alive


def test_a_step_that_blocks_the_loop_is_recovered_elsewhere_and_its_stack_logged_once(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    blocked = cluster.worker("--name", "blocked")
    gate = cluster.gate
    runs = cluster.submit([RunSpec("blocker", path(2, gate=gate.file), run_id="blocker")])
    until(lambda: "blocker 0 1" in cluster.witness.read_text(), what="the step to begin")
    other = cluster.worker("--name", "other")
    cluster.all_ended(runs)
    until(lambda: "lost with its worker" in other.said, what="the recovery")
    assert "late commit refused" not in blocked.said, (
        "the run ended while the loop was still blocked"
    )
    gate.open()
    until(
        lambda: (
            "dropped" in blocked.said
            or "refused" in blocked.said
            or "no longer holds" in blocked.said
        ),
        what="its late end",
    )
    assert blocked.said.count("is past its limit") == 1
    assert "block(step)" in blocked.said, "the stack of the blocking code"
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []


def test_a_thread_left_behind_writes_nothing_and_keeps_its_slot_until_it_returns(make_cluster):
    cluster = make_cluster()
    worker = cluster.worker("--concurrency", "2")
    gate = cluster.gate
    runs = cluster.submit([RunSpec("overrun", path(1, gate=gate.file), run_id="overrun")])
    cluster.all_ended(runs)
    gate.open()
    worker.has_said("its slot is free again")
    assert "ghost-ClaimLost" in cluster.witness.read_text()
    assert check(cluster, dict.fromkeys(runs, "succeeded")).all() == []


def test_a_loop_that_is_blocked_for_good_does_not_keep_the_runs_beside_it(make_cluster):
    """[C23] [C35] The worker ends, so that what it holds is recovered."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1, STEPFLOW_WORKER_STOP_GRACE_S=1)
    blocked = cluster.worker("--name", "blocked")
    innocents = cluster.submit(
        RunSpec("chain", path(2, pause=3.0), run_id=f"i-{n}") for n in range(3)
    )
    for run_id in innocents:
        cluster.reached(run_id, "running")
    gate = cluster.gate
    cluster.submit([RunSpec("blocker", path(1, gate=gate.file), run_id="blocker")])
    until(lambda: "blocker 0 1" in cluster.witness.read_text(), what="the step to begin")
    cluster.worker("--name", "other")
    assert blocked.wait() == 75
    cluster.all_ended(innocents)
    assert {cluster.status(run_id).state for run_id in innocents} == {"succeeded"}
    cluster.client.cancel("blocker")
