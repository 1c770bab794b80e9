"""Eight workers and one endpoint that is dead, then hangs, then is back."""

import pytest

from tests.crash.breakers.endpoint import FAILURES, RESET_S, Endpoint
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.breakers.endpoint:app")
WORKERS, SLOTS, RUNS, QUICK = 8, 2, 100, 50


def is_open(cluster):
    return [each.state != "closed" for each in cluster.client.breakers.list()] == [True]


def test_a_dead_endpoint_is_left_alone_and_comes_back_slowly(make_cluster):
    """[K8] [K9]"""
    with Endpoint() as endpoint:
        # longer than a busy machine keeps a worker from its renewals: each order is to be one call
        cluster = make_cluster(CRASH_ENDPOINT=endpoint.url, STEPFLOW_WORKER_LEASE_S=6)
        command = (*APP, "--concurrency", str(SLOTS))
        workers = [cluster.worker(*command, ready=False) for _ in range(WORKERS)]
        for worker in workers:
            worker.has_said("listens to")
        runs = [cluster.client.submit("charge", order).id for order in range(RUNS)]

        # the calls stop, over all workers: beside the failures only what was under way
        until(lambda: is_open(cluster), what="an open breaker")
        until(lambda: cluster.client.breakers.get("endpoint").waiting >= RUNS - 1, what="all wait")
        lasted_s = endpoint.calls[-1].at - endpoint.calls[0].at
        trials = lasted_s / RESET_S + 1
        assert len(endpoint.calls) <= FAILURES + WORKERS * SLOTS + trials

        # who waits holds no slot
        others = [cluster.client.submit("quick", number).id for number in range(QUICK)]
        cluster.all_ended(others)
        assert cluster.server.client.zcard("stepflow:claims") <= 1

        # a worker that is killed in its trial gives that back
        endpoint.mode = "hangs"
        trial = until(lambda: endpoint.last("hangs"), what="a trial that hangs")
        endpoint.mode = "up"
        [victim] = [worker for worker in workers if worker.popen.pid == trial.pid]
        before = len(endpoint.calls)
        victim.kill()

        # and they come back, two for each that went well
        cluster.all_ended(runs)
        assert {cluster.status(run_id).state for run_id in runs} == {"succeeded"}
        assert sorted(endpoint.answered) == list(range(RUNS))
        back = endpoint.calls[before:]
        assert all(call.pid != trial.pid for call in back)
        ahead = [number + 1 - 2 * call.calls_answered for number, call in enumerate(back)]
        assert max(ahead) <= 1, ahead
        seen = cluster.client.breakers.get("endpoint")
        assert (seen.state, seen.waiting, seen.trials) == ("closed", 0, 0)
