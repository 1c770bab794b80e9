"""
Anything may happen in any order: the engine's verbs against a plain model of a run, on the fake and
on the real server.

Hypothesis draws what happens next. Replies are lost and commands sent again, processes die in the
middle of a plan, workers come back late; after each operation every invariant holds and each run is
where its model is. At the end all runs end.

The suite draws the same orderings each time. `STEPFLOW_ORDERINGS=2000` draws so many others
(`--hypothesis-seed` for the same again).
"""

import os
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stepflow.core.outcomes import (
    Cancel,
    CleanedUp,
    Continue,
    ErrorInfo,
    Fail,
    HandBack,
    Park,
    Pause,
    Raised,
    Succeed,
    Yield,
)
from stepflow.core.run import Cleanup
from stepflow.engine.cancel import cancel, fail
from stepflow.engine.retry import retry
from stepflow.engine.signal import signal
from stepflow.engine.steering.pause import pause, resume, run_now
from stepflow.engine.submit import submit
from stepflow.errors import (
    NotPausable,
    NotResumable,
    NotRetryable,
    RunConflict,
    RunNotFound,
    SignalRefused,
    StepflowError,
)
from stepflow.store.calls import batch_of
from stepflow.store.keys import Keys
from stepflow.store.values.codec import pack
from tests.orderings.invariants import Seen, Watcher
from tests.orderings.model import Model
from tests.orderings.world import KILLED, World, content, spec

pytestmark = pytest.mark.crash

MORE = os.environ.get("STEPFLOW_ORDERINGS")
PROFILE = settings(
    stateful_step_count=50 if MORE else 40,
    derandomize=not MORE,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

RUNS = st.sampled_from(["a", "a", "a", "b"])
WORKERS = st.sampled_from(["w1", "w2", "w3"])
#: what becomes of an operation: done, done with every reply lost once, or its process dead after so
#: many calls
FATES = st.sampled_from(["done", "done", "done", "twice", "twice", 1, 2, 3])
NUMBERS = st.integers(0, 99)
ERROR = ErrorInfo("ValueError", "no")

#: commands of which an old copy may arrive at any time: what was sent once is sent again much later
DECIDING = {
    "add_entry", "finish_run", "hand_over", "keep_step", "mark_run", "park_run", "pause_run",
    "retry_run", "send_signal", "submit_run",
}  # fmt: skip

Change = Callable[[Model], object]


class Orderings(RuleBasedStateMachine):
    """Two runs, three workers, and everybody who may ask something of them."""

    def __init__(self, client):
        super().__init__()
        client.flushall()
        self.world = World(client)
        self.watcher = Watcher(client)
        self.models: dict[str, Model] = {}
        self.sent = []

    @property
    def now(self):
        return self.world.clock.now()

    def some_claim(self, number):
        """
        One of the claims that workers believe to have, with its worker; one is made when there is
        none.
        """
        if not self.has_claims():
            self.claim(f"w{1 + number % 3}", 1 + number % 2, "done")
        runs = [
            (worker, claimed)
            for worker in self.world.workers.values()
            for claimed in worker.runs.values()
        ]
        return runs[number % len(runs)]

    def has_claims(self):
        return any(worker.runs for worker in self.world.workers.values())

    def can_be_claimed(self):
        """
        Something is claimed, or can be: the first entry of the queue is what a record waits for.
        """
        if self.has_claims():
            return True
        head = self.world.client.lindex("rq:queue:default", 0)
        return head is not None and head.decode() in {
            seen.run.delivery for seen in self.watcher.last.values()
        }

    def lives(self):
        return any(not model.is_ended for model in self.models.values())

    def those(self, state):
        return sorted(run_id for run_id, model in self.models.items() if model.state == state)

    def one(self, state, number):
        return self.those(state)[number % len(self.those(state))]

    def do(self, plan, fate, changes: dict[str, list[Change]], expected=...):
        """
        Carry out a plan; each run is then where *changes* lead, or on the way there when the
        process died.
        """
        try:
            given = self.world.carry_out(
                self._noted(plan),
                twice=fate == "twice",
                calls=fate if isinstance(fate, int) else None,
            )
        except StepflowError as error:
            given = type(error)
        if given is not KILLED and expected is not ...:
            assert given == expected
        self.agree(changes, was_killed=given is KILLED)
        return given

    async def _noted(self, plan):
        answers = None
        try:
            while True:
                calls = plan.send(answers)
                answers = await batch_of(calls)
                self.sent += [call for call in calls if call.name in DECIDING]
        except StopIteration as end:
            return end.value
        finally:
            plan.close()

    def agree(self, changes, *, was_killed=False):
        seen = self.watcher.look()
        assert set(seen) <= set(self.models)
        for run_id, model in list(self.models.items()):
            stages = [model]
            for change in changes.get(run_id, []):
                stages.append(stages[-1].copy())
                change(stages[-1])
            if run_id not in seen:  # its submit died before it wrote
                assert was_killed
                del self.models[run_id]
                continue
            is_there = shown(seen[run_id])
            if was_killed and is_there in [wanted(stage) for stage in stages]:
                self.models[run_id] = next(stage for stage in stages if wanted(stage) == is_there)
                continue
            assert is_there == wanted(stages[-1])
            self.models[run_id] = stages[-1]

    # clients

    @initialize(run_id=RUNS)
    def begin(self, run_id):
        self.submit(run_id, 0, "return", None, None, "done")

    @rule(
        run_id=RUNS,
        payload=st.sampled_from([0, 0, 0, 1]),
        on_conflict=st.sampled_from(["return", "return", "restart"]),
        delay=st.sampled_from([None, None, None, 5.0, 500.0]),
        timeout=st.sampled_from([None, None, 20.0]),
        fate=FATES,
    )
    def submit(self, run_id, payload, on_conflict, delay, timeout, fate):
        there = self.models.get(run_id)
        if not self.lives():  # nothing could happen any more
            on_conflict = "restart"
        made = Model(self.now, payload, timeout, delay)
        expected, changes = True, []
        if there is None:
            self.models[run_id] = made
        elif there.is_ended and on_conflict == "restart":
            made.generation = there.generation + 1
            changes = [lambda model: model.__dict__.update(made.__dict__)]
        else:
            expected = RunConflict if there.payload != payload else False
        run = spec(run_id, payload, on_conflict=on_conflict, delay=delay, timeout=timeout)
        self.do(created(submit(run, self.world.env())), fate, {run_id: changes}, expected)

    @precondition(lives)
    @rule(run_id=RUNS, kind=st.sampled_from([None, None, "cancel", "cancel", "fail"]), fate=FATES)
    def stop(self, run_id, kind, fate):
        if kind is None:
            return
        verb = cancel if kind == "cancel" else fail
        model = self.models.get(run_id)
        expected = model is not None and not model.is_ended
        self.do(
            verb(run_id, "enough", self.world.env()),
            fate,
            {run_id: [lambda m: m.ask_to_stop(kind, self.now)]},
            expected,
        )

    @precondition(lives)
    @rule(run_id=RUNS, dedup=st.sampled_from([None, "d1", "d2"]), fate=FATES)
    def signal(self, run_id, dedup, fate):
        model = self.models.get(run_id)
        change = partial(Model.send, item=b"go|" + pack(7), dedup=dedup)
        if model is None or model.is_ended:
            self.do(
                signal(run_id, "go", 7, dedup, self.world.env()),
                fate,
                {},
                SignalRefused if model else RunNotFound,
            )
        else:
            self.do(signal(run_id, "go", 7, dedup, self.world.env()), fate, {run_id: [change]})

    @precondition(lambda self: self.those("paused"))
    @rule(number=NUMBERS, fate=FATES)
    def resume(self, number, fate):
        run_id = self.one("paused", number)
        change = lambda model: model.resume(self.now)  # noqa: E731
        self.do(resume(run_id, self.world.env()), fate, {run_id: [change]}, None)

    @precondition(lives)
    @rule(run_id=RUNS, fate=FATES)
    def pause(self, run_id, fate):
        model = self.models.get(run_id)
        expected = RunNotFound
        if model is not None:
            stands = model.state != "running"
            expected = NotPausable if model.is_ended or model.stop else stands
        plan = pause(run_id, "why", "ann", self.world.env())
        self.do(plan, fate, {run_id: [Model.pause_by_hand]} if model else {}, expected)

    @precondition(lambda self: any(model.must_stand for model in self.models.values()))
    @rule(number=NUMBERS, fate=FATES)
    def take_back_a_pause(self, number, fate):
        asked = sorted(name for name, model in self.models.items() if model.must_stand)
        run_id = asked[number % len(asked)]
        self.do(resume(run_id, self.world.env()), fate, {run_id: [Model.take_back_the_pause]}, None)

    @precondition(lambda self: self.those("scheduled"))
    @rule(number=NUMBERS, fate=FATES)
    def run_now(self, number, fate):
        run_id = self.one("scheduled", number)
        self.do(run_now(run_id, self.world.env()), fate, {run_id: [Model.run_now]}, True)

    @precondition(lambda self: self.those("failed"))
    @rule(number=NUMBERS, fate=FATES)
    def retry(self, number, fate):
        run_id = self.one("failed", number)
        if self.models[run_id].rest == 2:
            self.do(retry(run_id, self.world.env()), fate, {}, NotRetryable)
        else:
            self.do(retry(run_id, self.world.env()), fate, {run_id: [Model.retry]}, None)

    # workers

    def _begun(self, worker, plan, fate):
        given = self.do(plan, fate, self._claims_made(worker))
        if given is KILLED:
            worker.runs.clear()

    def _claims_made(self, worker):
        """
        Whatever it claimed stands in the records; that it may not know of it is another matter.
        """

        def change(model, run_id):
            token = (self.world.client.hget(Keys().run(run_id), "token") or b"").decode()
            if token.startswith(f"{worker.name}.") and token != model.holder:
                model.claim(token, self.now)

        return {run_id: [partial(change, run_id=run_id)] for run_id in self.models}

    @precondition(lambda self: self.those("pending"))
    @rule(
        name=WORKERS,
        limit=st.sampled_from([1, 1, 2, None]),
        fate=st.sampled_from(["done", "done", "twice", 1]),
    )
    def claim(self, name, limit, fate):
        """Take what waits; without a limit it is a stock worker that does."""
        worker = self.world.worker(name)
        self._begun(
            worker, worker.claim_as_stock() if limit is None else worker.claim(limit=limit), fate
        )

    def settle(self, number, plan_of_hold, stages: list[Change], fate):
        """Do something under a claim; one that is lost changes nothing."""
        worker, claimed = self.some_claim(number)
        run_id = claimed.run.id
        is_his = self.models[run_id].holder == claimed.run.token
        expected = ...
        if is_his:
            after = self.models[run_id].copy()
            for stage in stages:
                stage(after)
            expected = after.holder == claimed.run.token
        given = self.do(plan_of_hold(worker, claimed), fate, {run_id: stages if is_his else []})
        if given is KILLED:
            worker.runs.clear()
        elif is_his:
            assert bool(given) == expected
        else:
            assert not given, "a worker that lost its claim was told that it has it"

    @precondition(lambda self: self.can_be_claimed())
    @rule(
        number=NUMBERS,
        due_in=st.sampled_from([None, None, None, 3.0, 300.0]),
        lets_go=st.booleans(),
        fate=FATES,
    )
    def go_on(self, number, due_in, lets_go, fate):
        goes = lets_go or bool(self.some_claim(number)[1].attempt.extended_until)
        self.settle(
            number,
            lambda worker, claimed: worker.commit(
                claimed, Continue(1, delay=due_in), lets_go=lets_go
            ),
            [lambda model: model.go_on(self.now, due_in=due_in, lets_go=goes)],
            fate,
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(
        number=NUMBERS,
        outcome=st.sampled_from([
            (Succeed(3), Model.succeed),
            (Fail("no"), Model.fail),
            (Cancel("done with it"), Model.cancel_itself),
            (Pause("why"), Model.pause),
            (HandBack(), Model.hand_back),
            (Yield(), Model.hand_back),
            (CleanedUp(), partial(Model.clean_up, failed=False)),
            (CleanedUp(ERROR, [ERROR]), partial(Model.clean_up, failed=True)),
        ]),
        fate=FATES,
    )  # fmt: skip
    def give_up(self, number, outcome, fate):
        said, change = outcome
        self.settle(number, lambda worker, claimed: worker.commit(claimed, said), [change], fate)

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, retryable=st.sampled_from([True, True, False]), fate=FATES)
    def has_error(self, number, retryable, fate):
        self.settle(
            number,
            lambda worker, claimed: worker.commit(claimed, Raised(ERROR, retryable=retryable)),
            [lambda model: model.has_error(self.now, retryable=retryable)],
            fate,
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, due_in=st.sampled_from([3.0, 300.0]), rest=st.booleans(), fate=FATES)
    def sleep(self, number, due_in, rest, fate):
        due_at = self.now + due_in
        self.settle(
            number,
            lambda worker, claimed: worker.commit(
                claimed, Park(due_at, None, "time", needs_cleanup=rest)
            ),
            [lambda model: model.park(self.now, due_at=due_at, wakes=False, rest=rest, seen=0)],
            fate,
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, due_in=st.sampled_from([None, 3.0]), rest=st.booleans(), fate=FATES)
    def wait_for_signal(self, number, due_in, rest, fate):
        due_at = None if due_in is None else self.now + due_in
        goes = bool(self.some_claim(number)[1].attempt.extended_until)

        had_mail = bool(self.models[self.some_claim(number)[1].run.id].mail)
        if had_mail:
            stages = [
                Model.take_signal,
                lambda model: model.go_on(self.now, due_in=None, lets_go=goes),
            ]
        else:
            stages = [
                lambda model: model.park(
                    self.now, due_at=due_at, wakes=True, rest=rest, seen=model.inbox
                )
            ]
        self.settle(
            number,
            lambda worker, claimed: worker.wait_for_signal(claimed, due_in=due_in, rest=rest),
            stages,
            fate,
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, due_in=st.sampled_from([None, 3.0]), fate=FATES)
    def wait_with_an_old_look(self, number, due_in, fate):
        """It parks for its inbox, having looked into it before the last signal came."""
        due_at = None if due_in is None else self.now + due_in
        seen = max(0, self.models[self.some_claim(number)[1].run.id].inbox - 1)
        self.settle(
            number,
            lambda worker, claimed: worker.commit(
                claimed, Park(due_at, seen, "signal"), lets_go=True
            ),
            [
                lambda model: model.park(
                    self.now, due_at=due_at, wakes=True, rest=False, seen=seen, lets_go=True
                )
            ],
            fate,
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(
        number=NUMBERS,
        rest=st.sampled_from([None, None, Cleanup.NEEDED, Cleanup.STARTED]),
        fate=FATES,
    )
    def remember(self, number, rest, fate):
        entry = b"value|1|%d" % number

        def change(model):
            model.journal.append(entry)
            model.rest = model.rest if rest is None else int(rest)
            model.progress()

        if rest is not None and self.models[self.some_claim(number)[1].run.id].rest > rest:
            rest = None
        self.settle(
            number, lambda worker, claimed: worker.journal(claimed, entry, rest), [change], fate
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, fate=FATES)
    def put_memo(self, number, fate):
        self.settle(
            number, lambda worker, claimed: worker.put_memo(claimed, number), [Model.progress], fate
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, fate=FATES)
    def renew(self, number, fate):
        until = self.now + 10.0
        self.settle(
            number,
            lambda worker, claimed: worker.renew(claimed),
            [lambda model: model.renew(until)],
            fate,
        )

    @precondition(lambda self: self.can_be_claimed())
    @rule(number=NUMBERS, fate=FATES)
    def extend(self, number, fate):
        until = self.now + 60.0
        self.settle(
            number,
            lambda worker, claimed: worker.extend(claimed, 60.0),
            [lambda model: model.renew(until)],
            fate,
        )

    # time, and those who look after everything

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 11.0, 400.0]))
    def pass_time(self, seconds):
        self.world.clock.advance(seconds)

    @precondition(lambda self: any(model.times() for model in self.models.values()))
    @rule(name=WORKERS, fate=FATES)
    def pass_time_to_what_is_next(self, name, fate):
        """A lease, a deadline or a wait runs out, and a worker sees to it."""
        next_at = min(at for model in self.models.values() for at in model.times())
        self.world.clock.advance(max(0.0, next_at - self.now))
        self.look_after_all(name, "lapsed and overdue", fate)
        self.look_after_all(name, "due", fate)

    @precondition(lives)
    @rule(
        name=WORKERS,
        what=st.sampled_from(["lapsed and overdue", "due", "lost deliveries"]),
        fate=FATES,
    )
    def look_after_all(self, name, what, fate):
        worker = self.world.worker(name)
        match what:
            case "lapsed and overdue":
                self.do(worker.round(), fate, self._seen_to())
            case "due":
                changes = {
                    run_id: [lambda model: model.move_due(self.now)] for run_id in self.models
                }
                self.do(worker.move_due(), fate, changes)
            case "lost deliveries":
                self.do(worker.redeliver_missing(), fate, {})

    def _seen_to(self):
        def recover(model, run_id):
            if (
                model.state == "running"
                and model.lease_at <= self.now
                and model.lose_worker(self.now)
            ):
                due, stood = self.world.client.hmget(Keys().run(run_id), "due", "stood")
                model.wait_until(float(due or (stood or b"").rpartition(b"|")[2] or 0))

        def stop(model):
            if model.time_is_up(self.now):
                model.ask_to_stop("deadline", self.now)

        return {run_id: [partial(recover, run_id=run_id), stop] for run_id in self.models}

    # what goes wrong

    @rule(
        what=st.sampled_from(
            ["a worker dies", "a delivery is lost", "an old delivery", "an old command", "in vain"]
        ),
        number=NUMBERS,
    )
    def go_wrong(self, what, number):
        match what:
            case "a worker dies":
                self.world.worker(f"w{1 + number % 3}").runs.clear()
            case "a delivery is lost":  # `rq empty`, or a stock worker died with what it took
                self.world.client.lpop("rq:queue:default")
            case "an old delivery":
                self.deliver_again(number)
            case "an old command":
                self.arrive_again(number)
            case "in vain":
                self.ask_for_what_cannot_be(number)
        self.agree({})

    def deliver_again(self, number):
        """RQ puts a delivery back that was taken out of the queue long ago."""
        there = {seen.run.delivery for seen in self.watcher.last.values()}
        delivered = [call.args[6] for call in self.sent if call.name in ("submit_run", "hand_over")]
        old = [rq_id for rq_id in delivered if rq_id and rq_id not in there]
        if old:
            self.world.client.rpush("rq:queue:default", old[number % len(old)])

    def arrive_again(self, number):
        """A command whose reply was lost long ago arrives once more: it changes nothing."""
        # signals are of one generation, and known for as long as that lasts
        old = [
            call
            for call in self.sent
            if call.name != "send_signal" or self.world.client.hexists(call.keys[2], call.args[0])
        ]
        if old:
            before = content(self.world.client)
            self.world.connection.call(old[number % len(old)])
            assert content(self.world.client) == before, (
                f"an old {old[number % len(old)].name} changed something"
            )

    def ask_for_what_cannot_be(self, number):
        run_id = ["a", "b", "unknown"][number % 3]
        model = self.models.get(run_id)
        if model is None or not (model.state == "paused" or model.must_stand):
            self.do(
                resume(run_id, self.world.env()), "done", {}, NotResumable if model else RunNotFound
            )
        if model is None or model.state != "failed":
            self.do(
                retry(run_id, self.world.env()), "done", {}, NotRetryable if model else RunNotFound
            )
        if model is None or model.is_ended:
            plan = signal(run_id, "go", 7, None, self.world.env())
            self.do(plan, "done", {}, SignalRefused if model else RunNotFound)

    def teardown(self):
        """Whatever happened, every run can end: nothing is stuck."""
        self.world.see_through(self.watcher.look)
        self.watcher.look_for_leaks()


async def created(plan):
    return (await plan).created


def shown(seen: Seen):
    """A run in Redis, in the terms of the model."""
    run = seen.run
    ended = {
        "generation": run.generation, "state": run.state.value, "step": run.step, "ends": run.ends,
        "mail": seen.mail, "journal": seen.journal,
    }  # fmt: skip
    if run.is_finished:
        return ended
    return ended | {
        "failures": run.failures, "crashes": run.crashes, "holder": run.token,
        "lease_at": seen.lease_at, "due_at": seen.due_at, "wakes": seen.parked == "inbox",
        "stop": run.stop.kind.value if run.stop else "", "rest": int(run.cleanup),
        "inbox": run.inbox, "is looked at": seen.has_deadline,
    }  # fmt: skip


def wanted(model: Model):
    ended = {
        name: getattr(model, name)
        for name in ("generation", "state", "step", "ends", "mail", "journal")
    }
    if model.is_ended:
        return ended
    return (
        ended
        | {
            name: getattr(model, name)
            for name in ("failures", "crashes", "holder", "due_at", "wakes", "stop")
        }
        | {"rest": model.rest, "inbox": model.inbox, "lease_at": model.lease_at or None}
        | {"is looked at": model.look_at is not None}
    )


@pytest.fixture
def quiet(caplog):
    """What the engine says of each thing that goes wrong is not wanted here."""
    caplog.set_level("CRITICAL", "stepflow")


@pytest.mark.parametrize("examples", [8, pytest.param(int(MORE or 100), marks=pytest.mark.crash)])
def test_in_any_order_each_run_is_where_its_model_is(redis_client, quiet, examples):
    """[C12] [C13] [C28] [C29] [C37] [O9] [O10]"""
    profile = settings(PROFILE, max_examples=examples)
    run_state_machine_as_test(lambda: Orderings(redis_client), settings=profile)
    redis_client.flushall()
