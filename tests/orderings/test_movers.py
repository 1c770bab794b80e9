"""[O8] Each live run is moved by exactly one thing: negative controls of the invariant."""

from __future__ import annotations

import pytest

from stepflow.engine.submit import submit
from tests.orderings.invariants import Watcher
from tests.orderings.world import World, spec


@pytest.fixture
def world(redis_client, caplog):
    caplog.set_level("CRITICAL", "stepflow")
    redis_client.flushall()
    yield World(redis_client)
    redis_client.flushall()


DAMAGES = {
    "a claim is lost": (True, lambda client: client.zrem("stepflow:claims", "run:a")),
    "its queue is lost": (
        False, lambda client: client.delete("rq:queue:default", "stepflow:queued_at:default"),
    ),
    "it is due as well": (False, lambda client: client.zadd("stepflow:due", {"run:a": 1.0})),
    "it is queued as well": (
        True, lambda client: client.zadd("stepflow:queued_at:default", {"run:a": 1.0}),
    ),
    "it is claimed as well": (
        False, lambda client: client.zadd("stepflow:claims", {"run:a": 1.0}),
    ),
    "it is paused as well": (
        False, lambda client: client.hset("stepflow:run:a", "state", "paused"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_that_nothing_or_too_much_moves_is_seen(world, redis_client, damage):
    is_claimed, act = DAMAGES[damage]
    world.carry_out(submit(spec(), world.env()))
    if is_claimed:
        world.carry_out(world.worker().claim())
    watcher = Watcher(redis_client)
    watcher.look()
    act(redis_client)
    with pytest.raises(AssertionError):
        watcher.look()
