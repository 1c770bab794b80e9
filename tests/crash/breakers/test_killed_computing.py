"""A value that runs share, while the worker that computes it is killed."""

import pytest

from tests.crash.breakers.endpoint import Endpoint
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.breakers.endpoint:app")
WORKERS, RUNS = 3, 40


def test_another_computes_it_and_it_is_computed_once(make_cluster):
    """[K17]"""
    with Endpoint() as endpoint:
        cluster = make_cluster(CRASH_ENDPOINT=endpoint.url, STEPFLOW_WORKER_LEASE_S=6)
        workers = [cluster.worker(*APP, "--concurrency", "4", ready=False) for _ in range(WORKERS)]
        for worker in workers:
            worker.has_said("listens to")
        endpoint.mode = "hangs"
        runs = [cluster.client.submit("cached", 7).id for _ in range(RUNS)]
        until(lambda: endpoint.calls, what="a call")
        until(
            lambda: sum(cluster.status(run_id).state == "waiting" for run_id in runs) == RUNS - 1,
            what="the others wait",
        )
        assert cluster.server.client.zcard("stepflow:claims") == 1
        endpoint.mode = "up"
        [victim] = [each for each in workers if each.popen.pid == endpoint.calls[0].pid]
        victim.kill()
        cluster.all_ended(runs)
        assert {cluster.status(run_id).state for run_id in runs} == {"succeeded"}
        assert [call.order for call in endpoint.calls] == [7, 7]
