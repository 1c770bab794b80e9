"""Real worker processes, RQ's side and all, on the rights that the docs give a worker."""

import os
import signal

import pytest

from stepflow import RunSpec
from stepflow.store.keys import Keys
from stepflow.store.rights import WORKER
from tests.crash.support.app import path

pytestmark = pytest.mark.crash

#: what RQ and redis-py ask for and do without
ASKED_IN_VAIN = {"client|setinfo", "client|list", "client|info"}


def make_user(cluster, *without):
    rules = [rule for rule in WORKER.rules(Keys()) if rule not in without]
    cluster.server.client.execute_command(
        "ACL", "SETUSER", "w", "reset", "on", ">pw", "resetkeys", "resetchannels", "-@all", *rules
    )
    return f"{cluster.server.url}&username=w&password=pw"


def test_a_supervised_worker_lives_dies_and_leaves_on_its_rights(make_cluster):
    """[B24]"""
    cluster = make_cluster()
    url = make_user(cluster)
    supervisor = cluster.program("supervisor", "--processes", "2", STEPFLOW_REDIS_URL=url)
    runs = cluster.submit(
        RunSpec("chain", path(5, pause=0.05), run_id=f"r{number}") for number in range(20)
    )
    cluster.all_ended(runs)
    worker = next(row for row in cluster.client.workers() if row.is_live)
    os.kill(worker.pid, signal.SIGKILL)
    more = cluster.submit(RunSpec("chain", path(3), run_id=f"s{number}") for number in range(5))
    cluster.all_ended(more)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
    refused = {entry["object"] for entry in cluster.server.client.acl_log()}
    assert refused <= ASKED_IN_VAIN
    assert cluster.client.workers() == []


def test_a_worker_without_channels_does_not_start_and_says_why(make_cluster):
    """[B24]"""
    cluster = make_cluster()
    worker = cluster.worker(ready=False, STEPFLOW_REDIS_URL=make_user(cluster, "&stepflow:*"))
    assert worker.wait() == 1
    assert "user 'w' lacks what a worker needs: &stepflow:*" in worker.said
    assert "ACL SETUSER w &stepflow:*" in worker.said
