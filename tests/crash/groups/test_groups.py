"""Groups whose client or worker is killed as it moves them: each member begins once."""

import os
import signal

import pytest

from stepflow import RunSpec
from tests.crash.support.app import path
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

#: members of the group whose client is killed again and again; 100,000 take three minutes
MANY = int(os.environ.get("STEPFLOW_GROUP_MEMBERS", "4000"))


def begun_by(cluster):
    """Which runs have begun, once for each time that they did."""
    return sorted(line.split()[0] for line in cluster.witness.read_text().splitlines())


def runs_there(cluster):
    redis = cluster.server.client
    return redis.zcard("stepflow:idx:live") + redis.zcard("stepflow:idx:ended:succeeded")


def killed_at(cluster, point, count=MANY):
    client = cluster.program("group", "--prefix", "g", "--count", str(count), CRASH_AT=point)
    assert client.wait() == -signal.SIGKILL


def test_each_member_begins_once_though_its_client_is_killed_three_times(make_cluster):
    """[K6]"""
    cluster = make_cluster()
    killed_at(cluster, f"group.slice:{MANY // 1000}")
    assert cluster.client.groups.status("g").state == "writing"
    assert runs_there(cluster) == 0
    killed_at(cluster, "group.written:1")
    assert runs_there(cluster) == 0
    killed_at(cluster, f"group.submitted:{MANY // 1000}")
    assert runs_there(cluster) == MANY // 2
    for _ in range(2):
        cluster.worker("--concurrency", "200")
    info = cluster.client.groups.wait("g", timeout=600)
    assert (info.state, info.succeeded, info.total) == ("succeeded", MANY, MANY)
    assert begun_by(cluster) == [f"g--m{number:06}" for number in range(MANY)]
    again = cluster.program("group", "--prefix", "g", "--count", str(MANY))
    assert again.wait() == 0
    assert runs_there(cluster) == MANY


def test_two_machines_that_submit_one_group_begin_each_member_once(make_cluster):
    """[K6]"""
    cluster = make_cluster()
    clients = [cluster.program("group", "--prefix", "g", "--count", "3000") for _ in range(3)]
    cluster.worker("--concurrency", "100")
    assert [client.wait() for client in clients] == [0, 0, 0]
    assert cluster.client.groups.wait("g", timeout=60).succeeded == 3000
    assert len(begun_by(cluster)) == 3000


def members(**of):
    return {
        f"{runner}{number}": RunSpec(runner, path(1))
        for runner, count in of.items()
        for number in range(count)
    }


@pytest.mark.parametrize(
    ("point", "times"),
    [("submitted", 2), ("stopped", 1), ("stopped", 2), ("retried", 1), ("ending", 1)],
)
def test_a_worker_killed_there_costs_nothing_and_the_hook_is_told_once(make_cluster, point, times):
    """[K7] Another worker goes on; each end of the group is told of once."""
    cluster = make_cluster(STEPFLOW_WORKER_LEASE_S=1)
    groups = cluster.client.groups
    options = {"webhooks": [cluster.sink.webhook]}
    ends = 1
    if point == "submitted":
        killed_at_begin(cluster)
        expected = ("succeeded", 1200, 0, 0)
    elif point == "stopped":
        given = members(chain=3, listener=300)
        groups.submit("g", given, join=3, **options)
        expected = ("succeeded", 3, 0, 300)
    else:
        groups.submit("g", members(chain=20, broken=300), **options)
        expected = ("failed", 20, 300, 0)
    # after the submit: what has not begun when a join is met would never begin
    doomed = cluster.worker("--concurrency", "20", CRASH_AT=f"group.{point}:{times}")
    if point == "retried":
        # a client would do it all itself, were it left alive
        until(lambda: groups.status("g").is_finished, what="the first end")
        client = cluster.program("retry", "--prefix", "g", CRASH_AT="group.retried:1")
        client.wait()
        ends = 2
    assert doomed.wait() == -signal.SIGKILL
    cluster.worker("--concurrency", "20")
    until(lambda: groups.status("g").end == ends, what="the last end")
    info = groups.wait("g", timeout=60)
    assert (info.state, info.succeeded, info.failed, info.cancelled) == expected
    if point != "submitted":
        told = cluster.sink.receiver.arrived_ids
        until(lambda: len(told) == ends, what="the hooks")
        assert sorted(told) == [f"g----{end}-0" for end in range(1, ends + 1)]
    assert not cluster.sink.receiver.wrong


def killed_at_begin(cluster):
    killed_at(cluster, "group.written:1", count=1200)
