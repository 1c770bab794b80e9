"""
Every interleaving, call by call, of what may meet at one run: each invariant holds in each, and
each ends well.

Every order is enumerated, not drawn: a worker loads, decides and writes; so do a recovery, a
cancel, a signal, a retry. In each state that can be reached all of them may die as well, and the
run still comes to its end. On the fake server: a script is one call there as on the real one, and
`test_model.py` sees to it that both carry them out alike.
"""

import os

import pytest

from stepflow.core.outcomes import (
    Cancel,
    CleanedUp,
    Continue,
    ErrorInfo,
    Fail,
    Park,
    Pause,
    Raised,
    Succeed,
    TryElsewhere,
)
from stepflow.core.run import Cleanup
from stepflow.engine.cancel import cancel, fail
from stepflow.engine.retry import retry
from stepflow.engine.signal import signal, signal_or_start
from stepflow.engine.steering.pause import pause, resume
from stepflow.engine.submit import submit
from stepflow.errors import NotResumable, NotRetryable
from tests.orderings.space import Passes, Space
from tests.orderings.world import GRACE_S, LEASE_S, OTHER_BUILD, NumberedEnv, Worker, World, spec

#: a minute with the others of its kind
pytestmark = pytest.mark.crash

#: with STEPFLOW_ORDERINGS set the first delivery may be claimed at any time as well: some million
#: orders
MORE = os.environ.get("STEPFLOW_ORDERINGS")

ERROR = ErrorInfo("ValueError", "no")
SOON = 1_800_000_050.0

#: no run is there at first
NOBODY = object()

#: what a worker may say of its step, and how the run ends if nobody else says anything
OUTCOMES = {
    "continue": (Continue(1), None),
    "continue later": (Continue(1, delay=5.0), None),
    "succeed": (Succeed(1), "succeeded"),
    "fail": (Fail("no"), "failed"),
    "cancel itself": (Cancel("done with it"), "cancelled"),
    "raised": (Raised(ERROR), None),
    "raised for good": (Raised(ERROR, retryable=False), "failed"),
    "park": (Park(None, 0, "signal"), None),
    "sleep": (Park(SOON, None, "time"), None),
    "pause": (Pause("why"), None),
    "try elsewhere": (TryElsewhere(OTHER_BUILD, b"tried"), None),
}
#: those that the plain suite explores; the others take as long again, several times, and are left
#: to `-m crash`
PLAIN = ("continue", "raised")
each_outcome = pytest.mark.parametrize(
    ("outcome", "end"),
    [
        pytest.param(*case, id=name, marks=[] if name in PLAIN else pytest.mark.crash)
        for name, case in OUTCOMES.items()
    ],
)


@pytest.fixture
def world(fake, caplog):
    caplog.set_level("CRITICAL", "stepflow")
    return World(fake)


@pytest.fixture
def explore(world):
    """Explores every order of some actors after the run was submitted, and gives the ends."""

    def explore(*, begun=(), at_least, run=None, **actors):
        if run is not NOBODY:
            world.carry_out(submit(run or spec(), world.env()))
        found = Space(world, actors).explore(begun=begun)
        assert found.orders >= at_least, f"only {found.orders} orders, {found.states} states"
        return found.ends

    return explore


# actors: each is begun anew for every order, so none keeps anything


def worker(name, outcome):
    """Claims a step and settles it."""

    async def act(clock):
        me = Worker(name, clock)
        for claimed in await me.claim():
            said = CleanedUp() if claimed.run.stop and claimed.run.cleanup else outcome
            await me.commit(claimed, said, lets_go=True)

    return act


def waiter(name, *, due_in=None):
    """Claims a step and waits for a signal."""

    async def act(clock):
        me = Worker(name, clock)
        for claimed in await me.claim():
            await me.wait_for_signal(claimed, due_in=due_in)

    return act


def rounds(name="w9", *, after):
    """Looks after everything, each time so many seconds later."""

    async def act(clock):
        me = Worker(name, clock)
        for seconds in after:
            await Passes(seconds)
            await me.round()

    return act


def asks(*verbs, name="c"):
    """A client that asks for one thing after the other."""

    async def act(clock):
        env = NumberedEnv(name, clock)
        for verb in verbs:
            given = await verb(env)
        return given

    return act


def stop(env):
    return cancel("a", "enough", env)


def fail_it(env):
    return fail("a", "enough", env)


def retry_it(env):
    return retry("a", env)


def send(dedup=None):
    return lambda env: signal("a", "go", 7, dedup, env)


def word_of(seen):
    """What its worker said last, by the record of the step that stands closed last."""
    *_, record = (
        seen.steps[b"%d" % number]
        for number in range(len(seen.steps))
        if b"%d" % number in seen.steps
    )
    return record.split(b" ")[0].rsplit(b".", 1)[1].decode()


# deliveries, expiries, cancels


@each_outcome
def test_two_deliveries_an_expiry_and_a_cancel(explore, outcome, end):
    """
    [C12] [C13] [C25] [C26] [C27] [C28] [C35] The first delivery is in a worker's hands when it
    begins; see MORE.
    """
    ends = explore(
        begun=[] if MORE else ["first"],
        at_least=5_000,
        first=worker("w1", outcome),
        second=worker("w2", outcome),
        recovery=rounds(after=[LEASE_S]),
        stop=asks(stop),
    )
    for each in ends:
        run = each.at_last["a"].run
        assert run.ends == 1
        assert run.state == ("cancelled" if each.results["stop"] else end)
    assert {each.results["stop"] for each in ends} == ({True, False} if end else {True})


@pytest.mark.parametrize("name", ["continue", "succeed"])
def test_a_submit_two_workers_and_a_cancel(explore, name):
    """[C12] [C25] Nothing has begun yet, and who comes first is all that counts."""
    outcome, end = OUTCOMES[name]
    ends = explore(
        at_least=100, first=worker("w1", outcome), second=worker("w2", outcome), stop=asks(stop)
    )
    for each in ends:
        assert each.at_last["a"].run.state == ("cancelled" if each.results["stop"] else end)


@each_outcome
def test_two_recoveries_and_the_worker_they_take_for_dead(explore, outcome, end):
    """[C13] [C22] [C35] One loss is counted once, whoever sees it."""
    ends = explore(
        begun=["first"],
        at_least=200,
        first=worker("w1", outcome),
        recovery=rounds("w8", after=[LEASE_S]),
        other=rounds("w9", after=[0.5]),
    )
    assert max(each.seen["a"].run.crashes for each in ends) == 1
    states = {each.at_last["a"].run.state.value for each in ends}
    stands = outcome in (
        OUTCOMES["park"][0],
        OUTCOMES["pause"][0],
    )  # and is failed by hand, to see it through
    assert states == {end or "succeeded", "failed" if stands else "succeeded", "succeeded"}


def test_a_renewal_and_a_recovery_at_once(explore):
    """[C35] Who renewed in time keeps the step; nobody takes it away who looked before."""

    async def renews(clock):
        me = Worker("w1", clock)
        for claimed in await me.claim():
            await Passes(0.0)
            renewed_at = clock.now()
            kept = await me.renew(claimed)
            await me.commit(claimed, Succeed())
            return kept and renewed_at >= claimed.attempt.started_at + LEASE_S
        return False

    ends = explore(
        begun=["first"],
        at_least=20,
        first=renews,
        recovery=rounds(after=[LEASE_S]),
        other=rounds(after=[0.5]),
    )
    for each in ends:
        assert each.seen["a"].run.is_finished >= each.results["first"]
    assert {each.results["first"] for each in ends} == {True, False}


def test_a_deadline_a_grace_and_a_commit(explore):
    """[C23] [C27] A run past its time ends failed, whether its worker heard of it or not."""
    ends = explore(
        begun=["first"],
        at_least=100,
        run=spec(timeout=5.0),
        first=worker("w1", Continue(1)),
        second=worker("w2", Continue(2)),
        rounds=rounds(after=[5.0, GRACE_S]),
    )
    assert {each.at_last["a"].run.state for each in ends} == {"failed"}


@pytest.mark.crash
def test_a_cancel_and_a_deadline_at_once(explore):
    """[C27] [C28] [C29] Whoever was first, it ends once."""
    ends = explore(
        begun=["first"],
        at_least=1_000,
        run=spec(timeout=5.0),
        first=worker("w1", Succeed()),
        stop=asks(stop),
        other=asks(fail_it, name="d"),
        rounds=rounds(after=[5.0]),
    )
    for each in ends:
        assert each.at_last["a"].run.ends == 1


# signals


@pytest.mark.parametrize("due_in", [None, 3.0])
def test_a_signal_and_a_park(explore, due_in):
    """[F10] No signal slips in between the look into the mailbox and the park."""
    ends = explore(
        begun=["first"],
        at_least=40,
        first=waiter("w1", due_in=due_in),
        second=waiter("w2", due_in=due_in),
        sender=asks(send()),
    )
    for each in ends:
        seen = each.seen["a"]
        assert not (seen.parked and seen.mail), "it waits for what is there"
        assert len(seen.mail) + len(seen.journal) == 1


def test_two_senders_of_one_signal_and_a_park(explore):
    """[F10] With the same dedup it is one signal, and both are told the same."""
    ends = explore(
        begun=["first"],
        at_least=100,
        first=waiter("w1"),
        second=waiter("w2"),
        sender=asks(send("d"), name="c"),
        other=asks(send("d"), name="d"),
    )
    for each in ends:
        assert len(each.seen["a"].mail) + len(each.seen["a"].journal) == 1
        assert each.results["sender"] == each.results["other"]


@pytest.mark.crash
def test_two_signals_that_start_one_run_and_its_worker(explore):
    """[K23] It is made once, whoever is first, and both signals are there or were taken."""

    def starts(name):
        return asks(lambda env: signal_or_start(spec(), "go", name, None, env), name=name)

    ends = explore(
        run=NOBODY, at_least=20, one=starts("one"), two=starts("two"), worker=waiter("w1")
    )
    for each in ends:
        seen = each.seen["a"]
        assert len(seen.mail) + len(seen.journal) == 2
        assert not (seen.parked and seen.mail), "it waits for what is there"
        assert sorted([each.results["one"], each.results["two"]]).count("started") == 1


def test_a_signal_the_due_time_and_a_cancel(explore):
    """[C25] [F9] Three ways to end one wait."""

    async def time_comes(clock):
        await Passes(3.0)
        await Worker("w9", clock).move_due()

    ends = explore(
        begun=["first"] * 4,
        at_least=1_000,
        first=waiter("w1", due_in=3.0),
        second=worker("w2", Succeed()),
        sender=asks(send(), name="s"),
        stop=asks(stop),
        time=time_comes,
    )
    for each in ends:
        assert each.at_last["a"].run.state == ("cancelled" if each.results["stop"] else "succeeded")


def test_two_resume_a_paused_run_and_one_cancels_it(explore):
    """[C13] [C28] It is handed over once for each pause."""
    ends = explore(
        begun=["first"] * 2,
        at_least=500,
        first=worker("w1", Pause("why")),
        second=worker("w2", Succeed()),
        one=asks(lambda env: resume("a", env), name="r"),
        other=asks(lambda env: resume("a", env), name="q"),
        stop=asks(stop),
    )
    for each in ends:
        assert NotResumable in (each.results["one"], each.results["other"])
        assert each.at_last["a"].run.state == ("cancelled" if each.results["stop"] else "succeeded")


@pytest.mark.crash
def test_one_pauses_a_run_one_resumes_it_and_one_signals_it(explore):
    """[O9] Whatever comes first, nothing is lost, and it does not stand for ever unasked."""
    ends = explore(
        begun=["first"],
        at_least=300,
        first=waiter("w1"),
        pauser=asks(lambda env: pause("a", "why", "ann", env), name="p"),
        resumer=asks(lambda env: resume("a", env), name="r"),
        sender=asks(send(), name="s"),
    )
    for each in ends:
        seen = each.seen["a"]
        assert len(seen.mail) + len(seen.journal) == 1
        assert not (seen.parked and seen.mail), "it waits for what is there"
        if each.results["resumer"] is None:
            assert seen.run.state != "paused"


@each_outcome
def test_a_pause_and_a_worker(explore, outcome, end):
    """[O9] It ends as its step says, or stands; what the step said counts once."""
    ends = explore(
        begun=["first"],
        at_least=20,
        first=worker("w1", outcome),
        pauser=asks(lambda env: pause("a", "why", "ann", env), name="p"),
        resumer=asks(lambda env: resume("a", env), name="r"),
    )
    for each in ends:
        run = each.seen["a"].run
        assert run.is_finished or run.state in (
            "pending", "scheduled", "waiting", "paused",
        )  # fmt: skip
        assert not (run.is_finished and run.pause)


# what an operator does meets what a worker does too late


@each_outcome
def test_a_retry_and_a_late_commit(explore, outcome, end):
    """[C13] [C21] [C29] The commit belongs to an end that was, or to none."""
    ends = explore(
        begun=["first"],
        at_least=50,
        first=worker("w1", outcome),
        second=worker("w2", Succeed()),
        operator=asks(fail_it, fail_it, retry_it),
    )
    for each in ends:
        run = each.at_last["a"].run
        was_revived = each.results["operator"] is not NotRetryable
        assert run.ends == 1 + was_revived
        assert run.state == ("succeeded" if was_revived else end or "succeeded")


@each_outcome
def test_a_restart_and_a_late_commit(explore, outcome, end):
    """[C8] [C13] Nothing of the old generation touches the new one."""
    again = spec(on_conflict="restart")
    ends = explore(
        begun=["first"],
        at_least=50,
        first=worker("w1", outcome),
        second=worker("w2", Continue(2)),
        operator=asks(fail_it, fail_it, lambda env: submit(again, env)),
    )
    for each in ends:
        seen = each.at_last["a"]
        assert each.results["operator"].created
        assert seen.run.generation == 1
        assert not any(record.startswith(b"w1.") for record in seen.steps.values())


def test_two_restarts_at_once(explore):
    """[C3] [C8] One of them makes the next generation, the other finds it."""
    again = spec(on_conflict="restart")
    ends = explore(
        begun=["first"] * 2,
        at_least=20,
        first=worker("w1", Succeed()),
        second=worker("w2", Pause("why")),
        one=asks(lambda env: submit(again, env), name="o"),
        other=asks(lambda env: submit(again, env), name="p"),
    )
    for each in ends:
        assert sorted((each.results["one"].created, each.results["other"].created)) == [False, True]
        assert each.seen["a"].run.generation == 1


# cleanup


@pytest.mark.parametrize(
    "outcome", [Park(SOON, None, "time", needs_cleanup=True), Continue(1), Raised(ERROR)]
)
def test_a_stop_and_a_run_with_compensations(explore, outcome):
    """
    [C25] [F15] Whatever comes first, the run is heard once more before it ends, and ends as it was
    asked to.
    """

    async def registers(clock):
        me = Worker("w1", clock)
        for claimed in await me.claim():
            await me.journal(claimed, b"value|1|", Cleanup.NEEDED)
            await me.commit(claimed, outcome, lets_go=True)

    ends = explore(
        begun=["first"] * 3,
        at_least=15,
        first=registers,
        second=worker("w2", Continue(2)),
        stop=asks(stop),
    )
    for each in ends:
        seen = each.at_last["a"]
        assert each.results["stop"]
        if isinstance(outcome, Raised) and word_of(seen) != "last":
            continue  # a step that raised says nothing any more
        assert seen.run.state in ("cancelled", "failed")
        assert word_of(seen) == "last"


@pytest.mark.parametrize("outcome", [Continue(1), Raised(ERROR)])
def test_a_timeout_that_undoes_nothing_and_a_run_with_compensations(explore, outcome):
    """[K21] Whatever comes first, it ends once, by its timeout, and is not heard once more."""

    async def registers(clock):
        me = Worker("w1", clock)
        for claimed in await me.claim():
            await me.journal(claimed, b"value|1|", Cleanup.NEEDED)
            await me.commit(claimed, outcome, lets_go=True)

    ends = explore(
        begun=["first"] * 3,
        at_least=15,
        run=spec(timeout=5.0, on_timeout="end"),
        first=registers,
        second=worker("w2", Continue(2)),
        rounds=rounds(after=[5.0, GRACE_S]),
    )
    for each in ends:
        seen = each.at_last["a"]
        assert (seen.run.state, seen.run.ends) == ("failed", 1)
        assert not [record for record in seen.steps.values() if b".last " in record]


# deliveries that are lost


@pytest.mark.parametrize(
    "outcome", [Continue(1, delay=100.0), Park(SOON, 0, "time or signal"), Pause("why"), Succeed()]
)
def test_a_delivery_that_seems_lost_and_the_stock_worker_that_has_it(explore, outcome):
    """[C10] [C13] [F9] What went to sleep meanwhile is not woken."""

    async def stock(clock):
        me = Worker("w1", clock)
        claimed = await me.claim_as_stock()
        if claimed is not None:
            await me.commit(claimed, outcome, lets_go=True)
        return claimed is not None

    async def looks(clock):
        await Passes(2.0)
        await Worker("w9", clock).redeliver_missing()

    ends = explore(begun=["stock"], at_least=20, stock=stock, looks=looks)
    for each in ends:
        run = each.seen["a"].run
        assert run.state != "pending" or not run.step, "it was handed over although it was asleep"


def test_a_run_whose_runner_nobody_knew_a_worker_that_does_and_a_cancel(explore):
    """[C24] [C25] Nobody's death leaves it in no list at all."""

    async def does_not_know_it(clock):
        await Worker("w1", clock, runners=("y",)).claim()

    ends = explore(
        begun=["stranger"],
        at_least=10,
        stranger=does_not_know_it,
        second=worker("w2", Succeed()),
        stop=asks(stop),
    )
    for each in ends:
        assert each.at_last["a"].run.state == ("cancelled" if each.results["stop"] else "succeeded")
