"""
Small orderings, two or three parties at one run: each goes well because of one guard in one script.

`test_guards.py` takes the guard away and sees that the same ordering goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from stepflow.core.outcomes import Continue, Fail, Outcome, Park, Pause, Succeed
from stepflow.engine.cancel import cancel
from stepflow.engine.redeliver import redeliver
from stepflow.engine.registry import Registry
from stepflow.engine.retry import retry
from stepflow.engine.signal import signal, signal_or_start
from stepflow.engine.steering import bulk, carry_bulk
from stepflow.engine.steering.delete import delete
from stepflow.engine.steering.pause import pause, resume
from stepflow.engine.steering.queues import pause_queue, resume_queue
from stepflow.engine.submit import prepare, submit
from stepflow.errors import NotDeletable, SignalRefused
from stepflow.store.calls import Call, Plan, command, raw
from stepflow.store.claims import ClaimedDelivery, claim_steps, renew_claims, source_of
from stepflow.store.hooks import DEAD, DELIVERED, HookRecord, commit_hook, load_hook
from stepflow.store.runs.of_hook import HookWrites, NewRun, Settled, settle_hook
from stepflow.store.steering.bulk import BulkRecord, advance_bulk, load_bulk
from stepflow.worker.announce import announce
from stepflow.worker.claimed_run import ClaimedRun
from stepflow.worker.recover import recover_lapsed
from tests.orderings.invariants import Seen
from tests.orderings.world import CRASHES, LEASE_S, Worker, World, content, restore, spec

#: checks everything and gives the run
Look = Callable[[], Seen]
Meeting = Callable[[World, Look], None]

HOOK_ID = "a-0-1-0"


def submitted(world: World, **options: Any) -> None:
    world.carry_out(submit(spec(**options), world.env()))


def just_claimed(world: World, name: str = "w1") -> ClaimedRun:
    """Give the run as a worker has just claimed it."""
    if not world.client.exists(world.keys.run("a")):
        submitted(world)
    [claimed] = world.carry_out(world.worker(name).claim())
    return claimed


def lost(world: World) -> ClaimedRun:
    """Give a claim that its worker believes to have, while another worker has the run."""
    late = just_claimed(world)
    world.clock.advance(LEASE_S)
    world.carry_out(world.worker("w9").round())
    just_claimed(world, "w2")
    return late


def commit(world: World, claimed: ClaimedRun, outcome: Outcome, **how: Any) -> Any:
    worker = world.worker(claimed.run.token.split(".")[0])
    return world.carry_out(
        worker.commit(claimed, outcome, lets_go=how.pop("lets_go", False)), **how
    )


def begun(world: World, plan: Plan[Any], calls: int) -> tuple[Plan[Any], list[Call[Any]]]:
    """Carry out the first calls of a plan; gives it and what it asks next."""
    asked = plan.send(None)
    for _ in range(calls):
        asked = plan.send(world.send(asked))
    return plan, asked


# a worker settles its step


def with_a_cancel(outcome: Outcome, **how: Any) -> Meeting:
    def meet(world: World, look: Look) -> None:
        """
        A cancel marks the run before its worker settles the step; the worker has not heard of it.
        """
        claimed = just_claimed(world)
        assert world.carry_out(cancel("a", "enough", world.env()))
        look()
        commit(world, claimed, outcome, **how)
        assert look().run.state == "cancelled"

    return meet


def after_lost_writes(outcome: Outcome, **how: Any) -> Meeting:
    def meet(world: World, look: Look) -> None:
        """
        The server comes back without its last writes, and another worker's claim has the same rev.
        """
        submitted(world)
        before = content(world.client)
        claimed = just_claimed(world)
        restore(world.client, before)
        other = just_claimed(world, "w2")
        assert other.run.rev == claimed.run.rev
        commit(world, claimed, outcome, **how)
        assert (look().run.token, look().run.step) == (other.run.token, 0)

    return meet


def sent_twice(outcome: Outcome, **how: Any) -> Meeting:
    def meet(world: World, look: Look) -> None:
        """The reply to the commit is lost."""
        commit(world, just_claimed(world), outcome, twice=True, **how)
        look()

    return meet


def a_signal_before_the_park(world: World, look: Look) -> None:
    """A signal comes between the worker's look into the mailbox and its park."""
    claimed = just_claimed(world)
    waits, asked = begun(world, world.worker().wait_for_signal(claimed), 2)
    world.carry_out(signal("a", "go", 1, None, world.env()))
    world.carry_out(waits, asked=asked)
    assert not (look().parked and look().mail), "it waits for what is there"


# a worker that is late


def a_late_journal_entry(world: World, look: Look) -> None:
    late = lost(world)
    assert not world.carry_out(world.worker().journal(late, b"value|1|late"))
    assert look().journal == []


def a_late_look_into_the_mailbox(world: World, look: Look) -> None:
    late = lost(world)
    world.carry_out(signal("a", "go", 1, None, world.env()))
    assert world.carry_out(world.worker().take_signal(late)) == []
    assert len(look().mail) == 1


def a_late_memo(world: World, look: Look) -> None:
    late = lost(world)
    assert not world.carry_out(world.worker().put_memo(late, 1))
    assert ":memo" not in look().parts


def a_memo_of_the_step_before(world: World, look: Look) -> None:
    """
    A function left behind in its thread writes while its worker, by the same claim, is one step
    further.
    """
    claimed = just_claimed(world)
    put, asked = begun(world, world.worker().put_memo(claimed, 1), 1)
    assert commit(world, claimed, Continue(1))
    assert not world.carry_out(put, asked=asked)
    assert ":memo" not in look().parts


def a_late_extension(world: World, look: Look) -> None:
    late = lost(world)
    before = look().lease_at
    assert not world.carry_out(world.worker().extend(late, 1000.0))
    assert look().lease_at == before


def a_late_renewal(world: World, look: Look) -> None:
    late = lost(world)
    before = look().lease_at
    world.clock.advance(1.0)
    assert not world.carry_out(world.worker().renew(late))
    assert look().lease_at == before


def a_renewal_after_an_extension(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    assert world.carry_out(world.worker().extend(claimed, 1000.0))
    assert world.carry_out(world.worker().renew(claimed))
    assert look().lease_at == world.clock.now() + 1000.0


def an_extension_by_less_than_the_lease(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    assert world.carry_out(world.worker().extend(claimed, 1.0))
    assert look().lease_at == world.clock.now() + LEASE_S


def a_renewal_and_a_claim_that_was_taken_out(world: World, look: Look) -> None:
    """
    A claim is not made where it is renewed: what stands in the record alone is not brought back.
    """
    claimed = just_claimed(world)
    world.client.zrem(world.keys.claims, "run:a")
    world.carry_out(world.worker().renew(claimed))
    assert world.client.zscore(world.keys.claims, "run:a") is None


# what comes twice


def a_journal_entry_sent_twice(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    assert world.carry_out(world.worker().journal(claimed, b"value|1|"), twice=True)
    assert look().journal == [b"value|1|"]


def a_journal_that_lost_its_last_entry(world: World, look: Look) -> None:
    """A worker counts on from the entries it wrote, of which the server has lost one."""
    claimed = just_claimed(world)
    writes, [asked] = begun(world, world.worker().journal(claimed, b"value|1|"), 1)
    at = 3 + len(asked.keys) + 1
    later = Call(asked.script, (*asked.parts[:at], 1, *asked.parts[at + 1 :]), asked.read)
    assert not world.carry_out(writes, asked=[later])
    assert look().journal == []


def two_signals_and_a_look_sent_twice(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    for payload in (1, 2):
        world.carry_out(signal("a", "go", payload, None, world.env()))
    world.carry_out(world.worker().take_signal(claimed), twice=True)
    assert (len(look().mail), len(look().journal)) == (1, 1)


def a_signal_sent_twice(world: World, look: Look) -> None:
    just_claimed(world)
    world.carry_out(signal("a", "go", 1, None, world.env()), twice=True)
    assert len(look().mail) == 1


def two_senders_of_one_signal(world: World, look: Look) -> None:
    just_claimed(world)
    for _ in range(2):
        world.carry_out(signal("a", "go", 1, "once", world.env()))
    assert len(look().mail) == 1


def a_signal_that_starts_its_run_sent_twice(world: World, look: Look) -> None:
    sent = signal_or_start(spec(), "go", 1, None, world.env())
    assert world.carry_out(sent, twice=True) == "started"
    assert len(look().mail) == 1


def two_signals_that_restart_their_run(world: World, look: Look) -> None:
    """Both senders have found the run ended; of two restarts one is refused, and no signal lost."""
    commit(world, just_claimed(world), Succeed())
    again = spec(on_conflict="restart")
    slow, asked = begun(world, signal_or_start(again, "go", 1, None, world.env()), 1)
    assert world.carry_out(signal_or_start(again, "go", 2, None, world.env())) == "started"
    assert world.carry_out(slow, asked=asked) == "buffered"
    assert len(look().mail) == 2


def a_submit_sent_twice(world: World, look: Look) -> None:
    assert world.carry_out(submit(spec(), world.env()), twice=True).created
    look()


def a_cancel_of_a_pending_run_sent_twice(world: World, look: Look) -> None:
    submitted(world)
    assert world.carry_out(cancel("a", "enough", world.env()), twice=True)
    look()


def a_cancel_of_a_running_run_sent_twice(world: World, look: Look) -> None:
    just_claimed(world)
    assert world.carry_out(cancel("a", "enough", world.env()), twice=True)
    look()


def a_retry_sent_twice(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Fail("no"))
    world.carry_out(retry("a", world.env()), twice=True)
    look()


def a_resume_sent_twice(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Pause("why"))
    world.carry_out(resume("a", world.env()), twice=True)
    look()


def a_stock_workers_claim_sent_twice(world: World, look: Look) -> None:
    submitted(world)
    assert world.carry_out(world.worker().claim_as_stock(), twice=True)
    look()


# outsiders


def two_stops(world: World, look: Look) -> None:
    """Two have seen the running run and ask it to stop: the first one's reason stays."""
    just_claimed(world)
    other, asked = begun(world, cancel("a", "second", world.env()), 1)
    assert world.carry_out(cancel("a", "first", world.env()))
    assert world.carry_out(other, asked=asked)  # the run will end
    stop = look().run.stop
    assert stop is not None
    assert stop.reason == "first"


def two_pauses(world: World, look: Look) -> None:
    """Two have seen the running run and ask that it stand: the first one's reason stays."""
    just_claimed(world)
    other, asked = begun(world, pause("a", "second", "bob", world.env()), 1)
    assert not world.carry_out(pause("a", "first", "ann", world.env()))
    assert not world.carry_out(other, asked=asked)
    request = look().run.pause
    assert request is not None
    assert request.reason == "first"


def a_pause_of_a_running_run_sent_twice(world: World, look: Look) -> None:
    just_claimed(world)
    assert not world.carry_out(pause("a", "enough", "ann", world.env()), twice=True)
    look()


def a_pause_and_a_claim(world: World, look: Look) -> None:
    """The pause saw a pending run, and a worker has it when that is taken out of its queue."""
    submitted(world)
    asks, asked = begun(world, pause("a", "enough", "ann", world.env()), 1)
    just_claimed(world)
    assert not world.carry_out(asks, asked=asked)
    assert look().run.state == "running"


def a_pause_of_a_pending_run_sent_twice(world: World, look: Look) -> None:
    submitted(world)
    assert world.carry_out(pause("a", "enough", "ann", world.env()), twice=True)
    look()


def parked_and_paused(world: World) -> None:
    """The run waits for whatever comes into its inbox, and somebody pauses it."""
    commit(world, just_claimed(world), Park(None, 0, "signal"))
    assert world.carry_out(pause("a", "enough", "ann", world.env()))


def a_signal_before_the_run_is_put_back(world: World, look: Look) -> None:
    """A signal comes between the look of who resumes it and the write that has it wait again."""
    parked_and_paused(world)
    resumes, asked = begun(world, resume("a", world.env()), 2)
    world.carry_out(signal("a", "go", 1, None, world.env()))
    world.carry_out(resumes, asked=asked)
    assert look().run.state == "pending", "it waits for what is there"


def two_resumes_of_a_run_that_comes_due(world: World, look: Look) -> None:
    """The second one has it wait again although a worker has it by now."""
    commit(world, just_claimed(world), Park(world.clock.now() + 50.0, None, "time"))
    assert world.carry_out(pause("a", "enough", "ann", world.env()))
    other, asked = begun(world, resume("a", world.env()), 2)
    world.carry_out(resume("a", world.env()))
    world.clock.advance(60.0)
    world.carry_out(world.worker("w9").move_due())
    just_claimed(world, "w2")
    with suppress(Exception):
        world.carry_out(other, asked=asked)
    assert look().run.token.startswith("w2.")


def a_resume_of_a_parked_run_sent_twice(world: World, look: Look) -> None:
    parked_and_paused(world)
    world.carry_out(resume("a", world.env()), twice=True)
    look()


def two_retries_and_a_claim(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Fail("no"))
    other, asked = begun(world, retry("a", world.env()), 1)
    world.carry_out(retry("a", world.env()))
    just_claimed(world, "w2")
    with suppress(Exception):
        world.carry_out(other, asked=asked)
    assert look().run.token.startswith("w2.")


def two_resumes_and_a_claim(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Pause("why"))
    other, asked = begun(world, resume("a", world.env()), 1)
    world.carry_out(resume("a", world.env()))
    just_claimed(world, "w2")
    with suppress(Exception):
        world.carry_out(other, asked=asked)
    assert look().run.token.startswith("w2.")


def a_cancel_and_a_claim(world: World, look: Look) -> None:
    """The cancel saw a pending run, and a worker has it when the end is written."""
    submitted(world)
    stop, asked = begun(world, cancel("a", "enough", world.env()), 2)
    just_claimed(world)
    assert world.carry_out(stop, asked=asked)
    assert look().run.state == "running"


def two_restarts(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Succeed())
    again = spec(on_conflict="restart")
    other, asked = begun(world, submit(again, world.env()), 1)
    assert world.carry_out(submit(again, world.env())).created
    just_claimed(world, "w2")
    assert not world.carry_out(other, asked=asked).created
    assert look().run.token.startswith("w2.")


def a_renewal_before_the_recovery_writes(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    world.clock.advance(LEASE_S)
    recovery, asked = begun(world, recover_lapsed("run:a", world.env()), 1)
    assert world.carry_out(world.worker().renew(claimed))
    assert not world.carry_out(recovery, asked=asked)
    assert look().run.token == claimed.run.token


def a_renewal_before_the_poison_step_ends(world: World, look: Look) -> None:
    for _ in range(CRASHES):
        just_claimed(world)
        world.clock.advance(LEASE_S)
        world.carry_out(world.worker("w9").round())
        world.clock.advance(100.0)
        world.carry_out(world.worker("w9").move_due())
    claimed = just_claimed(world)
    world.clock.advance(LEASE_S)
    recovery, asked = begun(world, recover_lapsed("run:a", world.env()), 2)
    assert world.carry_out(world.worker().renew(claimed))
    assert not world.carry_out(recovery, asked=asked)
    assert look().run.token == claimed.run.token


def a_signal_and_an_ended_run(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Succeed())
    look()
    with suppress(SignalRefused):
        world.carry_out(signal("a", "go", 1, None, world.env()))
    look()


def a_slow_signal_and_a_restart(world: World, look: Look) -> None:
    """
    Between the sender's look and its write the run is restarted on another queue, and parks there.
    """
    submitted(world)
    world.carry_out(cancel("a", "enough", world.env()))
    slow, asked = begun(world, signal("a", "go", 7, None, world.env()), 1)
    submitted(world, queue="other", on_conflict="restart")
    [claimed] = world.carry_out(world.worker().claim(queue="other"))
    commit(world, claimed, Park(None, 0, "signal"))
    assert world.carry_out(slow, asked=asked) == "delivered"
    queues = [world.client.lrange(f"rq:queue:{name}", 0, -1) for name in ("default", "other")]
    assert queues == [[b"run-a-0"], [b"run-a-1-g1"]], (
        "the first is of the old generation and will be dropped"
    )


# deliveries


def an_old_delivery(world: World, look: Look) -> None:
    """RQ puts a delivery back that was taken out long ago, while the run waits for another."""
    commit(world, just_claimed(world), Continue(1), lets_go=True)
    world.client.lpush("rq:queue:default", "run-a-0")
    assert len(world.carry_out(world.worker("w2").claim(limit=2))) == 1
    look()


def an_old_delivery_and_a_run_in_progress(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    world.client.lpush("rq:queue:default", "run-a-0")
    assert not world.carry_out(world.worker("w2").claim())
    assert look().run.token == claimed.run.token


def an_early_delivery(world: World, look: Look) -> None:
    """RQ's own scheduler goes by its own clock and enqueues what is not due yet."""
    submitted(world, delay=5.0)
    world.client.rpush("rq:queue:default", "run-a-0")
    assert not world.carry_out(world.worker().claim())
    assert look().run.state == "scheduled"


def an_old_delivery_for_a_stock_worker(world: World, look: Look) -> None:
    claimed = just_claimed(world)
    world.client.lpush("rq:queue:default", "run-a-0")
    assert not world.carry_out(world.worker("w2").claim_as_stock())
    assert look().run.token == claimed.run.token


def an_early_delivery_for_a_stock_worker(world: World, look: Look) -> None:
    submitted(world, delay=500.0)
    world.client.rpush("rq:queue:default", "run-a-0")
    assert not world.carry_out(world.worker().claim_as_stock())
    assert look().run.state == "scheduled"


def a_runner_that_is_not_known(world: World, look: Look) -> None:
    submitted(world)
    with suppress(KeyError):
        world.carry_out(Worker("w1", world.clock, runners=("y",)).claim())
    assert look().run.state == "pending"


def a_claim_from_a_paused_queue(world: World, look: Look) -> None:
    submitted(world)
    assert world.carry_out(pause_queue("default", "down", "ann", world.env()))
    assert not world.carry_out(world.worker().claim())
    assert look().run.state == "pending"
    world.carry_out(resume_queue("default", world.env()))
    just_claimed(world)


def a_paused_queue_and_a_stock_worker(world: World, look: Look) -> None:
    submitted(world)
    assert world.carry_out(pause_queue("default", "down", "ann", world.env()))
    assert not world.carry_out(world.worker().claim_as_stock())
    assert look().run.state == "pending"


# an ended run is deleted


def a_delete_and_a_retry(world: World, look: Look) -> None:
    """It was looked at when it had failed, and is taken up again before it is deleted."""
    commit(world, just_claimed(world), Fail("no"))
    world.connection.call(forget_hooks(world))
    deletion, asked = begun(world, delete("a", world.env()), DELETE_LOOKS)
    world.carry_out(retry("a", world.env()))
    with suppress(NotDeletable):
        world.carry_out(deletion, asked=asked)
    assert world.client.exists(world.keys.run("a"))
    assert look().run.state == "pending"


def a_delete_and_a_redelivery(world: World, look: Look) -> None:
    """Somebody asks that its hook be delivered again before it is deleted."""
    commit(world, just_claimed(world), Fail("no"))
    world.connection.call(forget_hooks(world))
    deletion, asked = begun(world, delete("a", world.env()), DELETE_LOOKS)
    world.carry_out(redeliver(HOOK_ID, world.env()))
    with suppress(NotDeletable):
        world.carry_out(deletion, asked=asked)
    assert world.client.exists(world.keys.run("a"))
    assert look().run.state == "failed"


def a_delete_of_a_run_whose_end_was_noted(world: World, look: Look) -> None:
    """A worker turns the note of the end into a delivery before the run is deleted."""
    submitted(world)
    world.carry_out(cancel("a", "enough", world.env()))
    world.connection.call(forget_hooks(world))
    deletion, asked = begun(world, delete("a", world.env()), DELETE_LOOKS)
    world.carry_out(announce(registry_of(world), world.env()))
    with suppress(NotDeletable):
        world.carry_out(deletion, asked=asked)
    assert world.client.exists(world.keys.run("a"))
    assert look().run.state == "cancelled"


def a_delete_sent_twice(world: World, look: Look) -> None:
    commit(world, just_claimed(world), Succeed())
    world.connection.call(forget_hooks(world))
    assert world.carry_out(delete("a", world.env()), twice=True)


#: calls of a delete before it writes: the record, hooks that live and that died, each of its hooks,
#: the notes
DELETE_LOOKS = 5


def forget_hooks(world: World) -> Call[Any]:
    """Have the hook of the run's end count as delivered."""
    return command("HSET", world.keys.hook(HOOK_ID), "state", DELIVERED, read=raw)


# bulks


def begun_bulk(world: World) -> str:
    """Begin a bulk that cancels the run, and have it selected."""
    submitted(world)
    plan = bulk.begin("cancel", "runner=x", world.env(), by="ann", rate=1000.0, options={})
    bulk_id: str = world.carry_out(plan).id
    while read_bulk(world, bulk_id).state == "selecting":
        world.carry_out(carry_bulk.carry_on(bulk_id, world.env()))
    world.clock.advance(1.0)
    return bulk_id


def read_bulk(world: World, bulk_id: str) -> BulkRecord:
    record = world.connection.call(load_bulk(world.keys, bulk_id))
    assert record is not None
    return record


def two_who_carry_a_bulk_on(world: World, look: Look) -> None:
    """Both have done it to the run; one of them counts."""
    bulk_id = begun_bulk(world)
    late, asked = begun(world, carry_bulk.carry_on(bulk_id, world.env()), 1)
    world.carry_out(carry_bulk.carry_on(bulk_id, world.env()))
    world.carry_out(late, asked=asked)
    assert read_bulk(world, bulk_id).counts["done"] == 1
    assert look().run.state == "cancelled"


def a_stop_of_a_bulk_and_who_carries_it_on(world: World, look: Look) -> None:
    """It stays stopped though a worker was about to write that it goes on."""
    bulk_id = begun_bulk(world)
    record = read_bulk(world, bulk_id)
    further = replace(record, rev=record.rev + 1)
    world.carry_out(bulk.stop(bulk_id, world.env()))
    late = advance_bulk(world.keys, further, rev=record.rev, request="late")
    assert not world.connection.call(late)
    assert read_bulk(world, bulk_id).state == "stopped"
    look()


def a_step_of_a_bulk_sent_twice(world: World, look: Look) -> None:
    bulk_id = begun_bulk(world)
    record = read_bulk(world, bulk_id)
    further = replace(record, rev=record.rev + 1)
    [written] = world.send(
        [advance_bulk(world.keys, further, rev=record.rev, request="one")], twice=True
    )
    assert written
    look()


def a_bulk_begun_twice(world: World, look: Look) -> None:
    submitted(world)
    plan = bulk.begin("cancel", "runner=x", world.env(), by="ann", options={})
    world.carry_out(plan, twice=True)
    look()


def two_who_take_a_bulk_up_again(world: World, look: Look) -> None:
    bulk_id = begun_bulk(world)
    world.carry_out(bulk.stop(bulk_id, world.env()))
    other, asked = begun(world, bulk.carry_again(bulk_id, world.env()), 1)
    world.carry_out(bulk.carry_again(bulk_id, world.env()))
    world.carry_out(carry_bulk.carry_on(bulk_id, world.env()))
    assert read_bulk(world, bulk_id).state == "done"
    world.carry_out(other, asked=asked)
    assert read_bulk(world, bulk_id).state == "done"
    look()


# hooks


def told(world: World, name: str) -> HookRecord:
    """Give the hook's delivery as a worker has just claimed it."""
    keys, clock = world.keys, world.clock
    world.clients += 1
    batch = world.connection.call(
        claim_steps(
            keys, [source_of(keys, keys.hook_queue, keys.wake(keys.hook_queue))], given=clock.given,
            stem=f"{name}.", number=world.clients, lease_s=LEASE_S, limit=1, live_workers=1,
            worker=name, now=clock.now(), runners=["@webhook"],
        )
    )  # fmt: skip
    taken: list[ClaimedDelivery] = batch.taken
    assert taken
    record = hook(world)
    assert record.token == taken[0].token
    return record


def hook(world: World) -> HookRecord:
    record: HookRecord | None = world.connection.call(load_hook(world.keys, HOOK_ID))
    assert record is not None
    return record


def ended(world: World) -> None:
    commit(world, just_claimed(world), Succeed())


def a_late_delivery_of_a_hook(world: World, look: Look) -> None:
    ended(world)
    late = told(world, "w1")
    world.clock.advance(LEASE_S)
    assert world.carry_out(recover_lapsed(f"hook:{HOOK_ID}", world.env()))
    other = told(world, "w2")
    dies = commit_hook(world.keys, late, fields=["state", DEAD], died_at=world.clock.now())
    [is_written] = world.send([dies])
    assert not is_written
    assert hook(world).token == other.token


def a_delivery_of_a_hook_settled_twice(world: World, look: Look) -> None:
    ended(world)
    record = told(world, "w1")
    settles = commit_hook(world.keys, record, fields=["state", DELIVERED], ttl_s=100)
    [is_written] = world.send([settles], twice=True)
    assert is_written


def settling(world: World, record: HookRecord, run_id: str = "b") -> Call[Settled]:
    """Make the call that settles a delivery with a run and a value that the hook has written."""
    made = prepare(spec(run_id=run_id), world.env())
    writes = HookWrites([NewRun(made.run, made.data, made.tags)], [], ["seen", b"1"], 0)
    return settle_hook(world.keys, record, writes, fields=["state", DELIVERED], ttl_s=100)


def a_late_delivery_of_a_hook_that_writes(world: World, look: Look) -> None:
    ended(world)
    late = told(world, "w1")
    world.clock.advance(LEASE_S)
    assert world.carry_out(recover_lapsed(f"hook:{HOOK_ID}", world.env()))
    other = told(world, "w2")
    [settled] = world.send([settling(world, late)])
    assert not settled.is_written
    assert hook(world).token == other.token
    assert not world.client.exists(world.keys.run("b"), world.keys.run("a") + ":kv")


def a_delivery_of_a_hook_that_writes_settled_twice(world: World, look: Look) -> None:
    ended(world)
    record = told(world, "w1")
    [settled] = world.send([settling(world, record)], twice=True)
    assert settled == Settled(is_written=True)
    assert world.client.hget(world.keys.run("a") + ":kv", "seen") == b"1"
    assert world.client.lrange("rq:queue:default", 0, -1) == [b"run-b-0"]


def a_submit_before_a_hook_submits_the_same(world: World, look: Look) -> None:
    ended(world)
    record = told(world, "w1")
    world.carry_out(submit(spec("b", 7), world.env()))
    [settled] = world.send([settling(world, record)])
    assert (settled.is_written, settled.taken) == (False, 0)
    assert hook(world).token == record.token
    assert not world.client.exists(world.keys.run("a") + ":kv")


def a_restart_before_a_hook_writes_values(world: World, look: Look) -> None:
    """The values belong to the run that ended, and not to the one that has begun since."""
    ended(world)
    record = told(world, "w1")
    submitted(world, on_conflict="restart")
    [settled] = world.send([settling(world, record)])
    assert settled == Settled(is_written=True, values_kept=False)
    assert not world.client.exists(world.keys.run("a") + ":kv")


def two_recoveries_of_a_hook(world: World, look: Look) -> None:
    ended(world)
    told(world, "w1")
    world.clock.advance(LEASE_S)
    other, asked = begun(world, recover_lapsed(f"hook:{HOOK_ID}", world.env()), 1)
    assert world.carry_out(recover_lapsed(f"hook:{HOOK_ID}", world.env()))
    assert not world.carry_out(other, asked=asked)
    look()


def a_renewal_before_a_hook_is_recovered(world: World, look: Look) -> None:
    ended(world)
    record = told(world, "w1")
    world.clock.advance(LEASE_S)
    recovery, asked = begun(world, recover_lapsed(f"hook:{HOOK_ID}", world.env()), 1)
    world.connection.call(
        renew_claims(
            world.keys, [(f"hook:{HOOK_ID}", record.token, LEASE_S)], given=world.clock.given
        )
    )
    assert not world.carry_out(recovery, asked=asked)
    assert hook(world).token == record.token


# an end that nobody's hooks were known for


def registry_of(world: World) -> Registry:
    registry = Registry()
    registry.add(spec().runner, lambda step: Succeed())
    registry.add_hook(an_end_and_an_announcement)  # type: ignore[arg-type]  # never called
    return registry


def an_end_and_an_announcement(world: World, look: Look) -> None:
    """Who ends a run looked for its hooks before a worker said which there are."""
    submitted(world)
    ending, asked = begun(world, cancel("a", "enough", world.env()), 2)
    world.carry_out(announce(registry_of(world), world.env()))
    assert world.carry_out(ending, asked=asked)
    assert not world.client.exists(world.keys.untold(spec().runner))
    assert world.client.exists(world.keys.hook("a-0-1-1"))
