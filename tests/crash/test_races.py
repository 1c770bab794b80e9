"""
Races and crash points that no kill would hit for sure, played step by step against the real server.
"""

import pytest

from stepflow import RunSpec
from stepflow.engine.env import Env
from stepflow.errors import RedisUnreachable
from stepflow.store.claims import claim_one, sources_of
from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.keys import Keys
from stepflow.store.runs import load_run
from stepflow.testing.connection import FakeConnection
from stepflow.worker.maintenance import Maintenance
from stepflow.worker.recover import recover_lapsed, recover_lost_delivery, recover_worker
from tests.crash.support.app import path

pytestmark = pytest.mark.crash


class Bench:
    """One run on a server, and the calls of several workers to interleave."""

    def __init__(self, cluster):
        self.connection = SyncConnection.to(Address.parse(cluster.server.url))
        self.keys, self.redis = Keys(), cluster.server.client
        self.env = Env(self.keys, cluster.settings)
        cluster.submit([RunSpec("chain", path(2), run_id="r")])

    @property
    def run(self):
        return self.connection.call(load_run(self.keys, "r"))

    def claim(self, worker, lease_s):
        rq_id = self.run.delivery
        taken = self.connection.call(
            claim_one(
                self.keys, "run:r", rq_id, f"{worker}.0.", "default", given="", lease_s=lease_s
            )
        )
        self.redis.lrem("rq:queue:default", 0, rq_id)
        assert taken is not None

    def finish(self, plan, calls):
        """Carry out a plan from where it stands and give what it returns."""
        try:
            while True:
                calls = plan.send(self.connection.calls(calls))
        except StopIteration as end:
            return end.value


@pytest.fixture
def bench(make_cluster):
    bench = Bench(make_cluster())
    yield bench
    bench.connection.close()


def test_two_workers_that_see_one_lapsed_claim_count_one_loss(bench):
    bench.claim("dead", lease_s=-1)
    assert carry_out(bench.connection, recover_lapsed("run:r", bench.env))
    assert not carry_out(bench.connection, recover_lapsed("run:r", bench.env)), (
        "the second came late"
    )
    assert (bench.run.crashes, bench.run.state) == (1, "pending")


def test_a_supervisor_takes_no_claim_from_a_worker_that_lives(bench):
    bench.claim("dead", lease_s=-1)
    plan = recover_worker("dead", bench.env)
    calls = plan.send(None)
    for _ in range(2):  # it has read that the claim stands under the dead worker's name ...
        calls = plan.send(bench.connection.calls(calls))
    carry_out(
        bench.connection, recover_lapsed("run:r", bench.env)
    )  # ... when another recovers it, and it is claimed anew
    bench.claim("alive", lease_s=100)
    assert bench.finish(plan, calls) == 0
    assert bench.run.token == "alive.0."


def test_a_claim_that_comes_while_a_lost_delivery_is_looked_into_stands(bench):
    plan = recover_lost_delivery("run:r", bench.env)
    tidying = plan.send(bench.connection.calls(plan.send(None)))
    bench.claim("quick", lease_s=100)
    assert bench.finish(plan, tidying) is False
    assert bench.run.token == "quick.0."


async def nothing_to_announce():
    pass


class Dying(FakeConnection):
    """A link whose worker dies after so many calls."""

    def __init__(self, connection, calls_left):
        super().__init__(connection)
        self.calls_left = calls_left

    async def call(self, call):
        if not self.calls_left:
            raise RedisUnreachable("here", "the worker was killed")
        self.calls_left -= 1
        return await super().call(call)


@pytest.mark.parametrize("calls", range(2))
async def test_a_worker_killed_while_it_looks_through_waiting_lists_forgets_none(bench, calls):
    bench.redis.rpush("stepflow:waiting:default:chain", "run-r-0")
    bench.redis.sadd("stepflow:waiting_lists", "default|chain")
    rounds = Maintenance(
        bench.env, Dying(bench.connection, calls), worker="w",
        sources=sources_of(bench.keys, "default"), queues=["default"],
        serves={"default": ["chain"]}, on_look=lambda look, extra: None,
        announce=nothing_to_announce, report=nothing_to_announce,
    )  # fmt: skip
    try:
        await rounds._waiting_lists(["default|chain"])
    except RedisUnreachable:
        assert calls < 1
    assert bench.redis.smembers("stepflow:waiting_lists") == {b"default|chain"}
