"""
Orderings that once went wrong, each as short as it can be told; the model and the interleavings
found them.
"""

import pytest

from stepflow.core.outcomes import CleanedUp, Continue, ErrorInfo, Park, Raised, Succeed
from stepflow.engine.cancel import cancel, fail
from stepflow.engine.retry import retry
from stepflow.engine.signal import signal
from stepflow.engine.submit import submit
from stepflow.worker.recover import recover_lost_delivery
from tests.orderings import meetings as meet
from tests.orderings.invariants import Watcher
from tests.orderings.world import LEASE_S, Worker, World, spec

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
def claimed(world):
    """The run, just claimed by the first worker."""
    world.carry_out(submit(spec(), world.env()))
    [claimed] = world.carry_out(world.worker().claim())
    return claimed


def test_a_run_that_failed_while_it_was_parked_and_is_retried_waits_for_no_signal_any_more(
    world, claimed, look
):
    """[C20] [C21] A signal would else have cut the wait before its next attempt short."""
    world.carry_out(world.worker().commit(claimed, Park(None, 0, "signal")))
    world.carry_out(fail("a", "enough", world.env()))
    world.carry_out(retry("a", world.env()))
    look()
    [claimed] = world.carry_out(world.worker().claim())
    world.carry_out(world.worker().commit(claimed, Raised(ERROR)))
    assert world.carry_out(signal("a", "go", 1, None, world.env())) == "buffered"
    assert look().run.state == "scheduled"


def test_a_journal_entry_is_progress_also_when_its_step_then_raises(world, look):
    """
    [C22] The count of crashes was set back in Redis, and the commit wrote the old one over it.
    """
    world.carry_out(submit(spec(), world.env()))
    worker = world.worker()
    world.carry_out(worker.claim())
    world.clock.advance(LEASE_S)
    world.carry_out(worker.round())
    [claimed] = world.carry_out(worker.claim())
    assert look().run.crashes == 1
    world.carry_out(worker.journal(claimed, b"value|1|"))
    assert look().run.crashes == 0
    world.carry_out(worker.commit(claimed, Raised(ERROR)))
    assert look().run.crashes == 0


def test_a_delivery_that_seemed_lost_does_not_wake_a_run_that_went_to_sleep_meanwhile(world, look):
    """
    [C10] [C13] A stock worker was slow to claim what it had taken; between a round's look and its
    repair it was done.
    """
    world.carry_out(submit(spec(), world.env()))
    world.client.lpop("rq:queue:default")
    world.clock.advance(2.0)
    repair = recover_lost_delivery("run:a", world.env())
    world.client.rpush("rq:queue:default", "run-a-0")
    [claimed] = world.carry_out(world.worker().claim())
    world.carry_out(world.worker().commit(claimed, Continue(1, delay=100.0)))
    assert world.carry_out(repair) is False
    assert look().run.state == "scheduled"


@pytest.mark.parametrize("calls", range(5))
def test_a_client_that_dies_while_it_cancels_a_run_that_waits_for_its_runner_leaves_it_in_its_list(
    world, look, calls
):
    """
    [C24] [C25] It was taken out of the list first, and found by nobody when the end was not
    written.
    """
    world.carry_out(submit(spec(), world.env()))
    world.carry_out(Worker("w1", world.clock, runners=("y",)).claim())
    world.carry_out(cancel("a", "enough", world.env()), calls=calls)
    look()
    for claimed in world.carry_out(world.worker("w2").claim()):
        world.carry_out(world.worker("w2").commit(claimed, Succeed()))
    assert look().run.is_finished


def test_a_signal_that_was_slow_delivers_where_the_run_is_now(world, look):
    """
    [F10] Between its look and its write the run was restarted on another queue, and parked there.
    """
    meet.a_slow_signal_and_a_restart(world, look)


def test_a_run_that_parked_in_its_cleanup_as_it_was_stopped_cleans_up_though_a_worker_is_lost(
    world, claimed, look
):
    """[C25] It was handed over once more, and nothing remembered what for."""
    assert world.carry_out(cancel("a", "enough", world.env()))
    world.carry_out(world.worker().commit(claimed, Park(None, 0, "signal", needs_cleanup=True)))
    world.carry_out(world.worker("w2").claim())
    world.clock.advance(LEASE_S)
    world.carry_out(world.worker("w9").round())
    assert look().run.state == "pending"
    [claimed] = world.carry_out(world.worker("w3").claim())
    world.carry_out(world.worker("w3").commit(claimed, CleanedUp()))
    assert look().run.state == "cancelled"
