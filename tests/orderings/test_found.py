"""Orderings that once went wrong, each as short as it can be told; the model and the interleavings found them."""

import pytest

from stepflow.core.outcomes import ErrorInfo, Park, Raised
from stepflow.engine.cancel import fail
from stepflow.engine.revive import revive
from stepflow.engine.signal import signal
from stepflow.engine.submit import submit
from tests.orderings.invariants import Watcher
from tests.orderings.world import LEASE_S, World, spec

ERROR = ErrorInfo("ValueError", "no")


@pytest.fixture
def world(redis_client):
    return World(redis_client)


@pytest.fixture
def look(redis_client):
    """Checks everything and gives the run."""
    watcher = Watcher(redis_client)
    return lambda: watcher.look()["a"]


@pytest.fixture
def hold(world):
    """The run, just claimed by the first worker."""
    world.carry_out(submit(spec(), world.desk()))
    [hold] = world.carry_out(world.worker().claim())
    return hold


def test_a_run_that_failed_while_it_was_parked_and_is_retried_waits_for_no_signal_any_more(world, hold, look):
    """[C20] [C21] A signal would else have cut the wait before its next attempt short."""
    world.carry_out(world.worker().commit(hold, Park(None, 0, "signal")))
    world.carry_out(fail("a", "enough", world.desk()))
    world.carry_out(revive("a", world.desk()))
    look()
    [hold] = world.carry_out(world.worker().claim())
    world.carry_out(world.worker().commit(hold, Raised(ERROR)))
    assert world.carry_out(signal("a", "go", 1, None, world.desk())) == "buffered"
    assert look().run.state == "scheduled"


def test_a_journal_entry_is_progress_also_when_its_step_then_raises(world, look):
    """[C22] The count of crashes was set back in Redis, and the commit wrote the old one over it."""
    world.carry_out(submit(spec(), world.desk()))
    worker = world.worker()
    world.carry_out(worker.claim())
    world.clock.advance(LEASE_S)
    world.carry_out(worker.round())
    [hold] = world.carry_out(worker.claim())
    assert look().run.crashes == 1
    world.carry_out(worker.journal(hold, b"value|1|"))
    assert look().run.crashes == 0
    world.carry_out(worker.commit(hold, Raised(ERROR)))
    assert look().run.crashes == 0
