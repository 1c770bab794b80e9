"""A hundred runs that spend of one budget, while their workers are killed."""

import pytest

from tests.crash.budgets.provider import LIMIT, MOST, Provider
from tests.crash.support.waiting import until

pytestmark = pytest.mark.crash

APP = ("--app", "tests.crash.budgets.provider:app", "--concurrency", "8")
RUNS, KILLS, APART = 100, 3, 20


def test_settled_and_lost_enclose_the_bill_and_the_budget_is_never_exceeded(make_cluster):
    """[A12] At each look what is settled, lost and reserved is within the budget."""
    with Provider() as provider:
        cluster = make_cluster(CRASH_PROVIDER=provider.url, STEPFLOW_WORKER_LEASE_S=4)
        workers = [cluster.worker(*APP, ready=False) for _ in range(2)]
        for worker in workers:
            worker.has_said("listens to")
        runs = [cluster.client.submit("spend", f"r{number}").id for number in range(RUNS)]
        get, killed = cluster.client.budgets.get, 0
        until(cluster.client.budgets.list, what="a call")

        while killed < KILLS and get("acme").spent.calls < LIMIT // MOST * 2:
            had = len(provider.bill)
            until(
                lambda had=had: len(provider.bill) >= had + APART or _is_spent(get("acme")),
                what="some calls",
            )
            workers.pop(0).kill()
            killed += 1
            workers.append(cluster.worker(*APP, ready=False))
            assert _in_all(get("acme").spent) <= LIMIT

        cluster.all_ended(runs)
        assert {cluster.status(run_id).result for run_id in runs} == {"spent"}
        spent = get("acme").spent
        assert _in_all(spent) <= LIMIT
        bill = sum(provider.bill)
        assert spent.settled_tokens + spent.least_tokens <= bill
        assert bill <= spent.settled_tokens + spent.lost_tokens + spent.reserved_tokens
        assert (spent.reserved_tokens, spent.lost_tokens) == (0, spent.lost * MOST)
        assert len(provider.bill) <= spent.calls
        assert spent.lost <= killed * 8
        assert LIMIT - _in_all(spent) < MOST  # nobody was refused while there was room


def _in_all(spent):
    return spent.settled_tokens + spent.lost_tokens + spent.reserved_tokens


def _is_spent(info):
    return LIMIT - _in_all(info.spent) < MOST
