"""RQ's own worker and RQ's own commands on stepflow's queues."""

import os
import signal
import subprocess

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.checker import check
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

STOCK = ("worker", "-S", "rq.serializers.JSONSerializer")


def mixed(prefix):
    """A few runs for one slow worker."""
    return [
        RunSpec("chain", path(2), run_id=f"{prefix}-chain"),
        RunSpec("plain", path(2), run_id=f"{prefix}-plain"),
        RunSpec("memo", path(1), run_id=f"{prefix}-memo"),
        RunSpec("verdict", path(1), run_id=f"{prefix}-verdict"),
    ]


ENDS = {"chain": "succeeded", "plain": "succeeded", "memo": "succeeded", "verdict": "failed"}


def ends(runs):
    return {run_id: ENDS[run_id.split("-")[1]] for run_id in runs}


def test_a_stock_worker_works_a_queue_to_the_end(make_cluster):
    cluster = make_cluster()
    # nobody but stepflow's own workers moves what comes due: one that only does that
    cluster.worker("--queue", "elsewhere")
    stock = cluster.rq(*STOCK, "-u", cluster.server.url, "default", "stepflow.hooks")
    runs = cluster.submit(mixed("k"))
    cluster.all_ended(runs)
    until(
        lambda: not cluster.server.client.exists("rq:wip:default"),
        what="the stock worker to tidy up",
    )
    # the token for idle workers of ours stays where none listens: one to a queue
    assert check(cluster, ends(runs), besides="stepflow:wake:default").all() == []
    stock.send(signal.SIGTERM)
    stock.wait()
    assert "Traceback" not in stock.said
    assert "run-k-chain-0" in stock.said
    assert cluster.server.client.zcard("rq:failed:default") == 0


def test_a_stock_worker_killed_between_its_pop_and_its_claim_loses_nothing(make_cluster):
    cluster = make_cluster()
    stock = cluster.rq(*STOCK, "-u", cluster.server.url, "default", CRASH_SLOW_IMPORT=20)
    runs = cluster.submit(mixed("k"))
    redis = cluster.server.client
    until(lambda: redis.llen("rq:queue:default") == len(runs) - 1, what="its pop")
    stock.kill_group()
    listed = subprocess.run(
        ["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True
    ).stdout
    for line in listed.splitlines():  # its horse has a session of its own
        if cluster.server.socket in line and "rq.cli" in line:
            os.kill(int(line.split()[0]), signal.SIGKILL)
    assert redis.zcard("stepflow:claims") == 0, "it died before its claim"
    worker = cluster.worker()
    cluster.all_ended(runs)
    worker.has_said("had lost its queue entry")
    # RQ's note of what the dead worker was at: RQ clears it itself, when its time is over
    assert check(cluster, ends(runs), besides="rq:wip:default").all() == []


def test_the_worker_class_works_under_rqs_command_line(make_cluster):
    cluster = make_cluster()
    worker = cluster.rq(
        "worker", "-w", "stepflow.entry.RQWorker", "-u", cluster.server.url, "default"
    )
    runs = cluster.submit(mixed("k"))
    cluster.all_ended(runs)
    assert check(cluster, ends(runs)).all() == []
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert "Traceback" not in worker.said


def test_an_emptied_queue_loses_no_run(make_cluster):
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=60)
    runs = cluster.submit(RunSpec("chain", path(2), run_id=f"k-{n}") for n in range(30))
    assert cluster.rq("empty", "-u", cluster.server.url, "default").wait() == 0
    assert cluster.server.client.llen("rq:queue:default") == 0
    cluster.worker()
    cluster.all_ended(runs)
    found = check(cluster, dict.fromkeys(runs, "succeeded"))
    assert found.all() == []
    assert found.attempts_lost == 0


def test_suspend_holds_everything_and_resume_goes_on(make_cluster):
    cluster = make_cluster()
    worker = cluster.worker()
    runs = cluster.submit(RunSpec("chain", path(30, pause=0.1), run_id=f"k-{n}") for n in range(10))
    cluster.reached("k-0", "running", 2)
    assert cluster.rq("suspend", "-u", cluster.server.url).wait() == 0
    worker.has_said("RQ is suspended")
    redis = cluster.server.client
    until(lambda: redis.zcard("stepflow:claims") == 0, what="kept runs to be let go")
    late = cluster.submit([RunSpec("chain", path(1), run_id="k-late")])
    steps = [cluster.status(run_id).step for run_id in runs]
    assert cluster.rq("info", "-u", cluster.server.url).wait() == 0
    assert [cluster.status(run_id).step for run_id in runs] == steps, (
        "nothing moves while it is suspended"
    )
    assert cluster.status("k-late").state == "pending"
    assert cluster.rq("resume", "-u", cluster.server.url).wait() == 0
    cluster.all_ended([*runs, *late])
    assert check(cluster, dict.fromkeys([*runs, *late], "succeeded")).all() == []
