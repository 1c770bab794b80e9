"""
The engine's own plans, one call at a time: what clients, workers and rounds do, in any order a test
wants.

Everything here is the real thing. A verb that is a plan is carried out call by call; one that is a
coroutine (commit, the writes of a kit) is turned into a plan by a link that hands each call to
whoever drives the coroutine. Time stands still.
"""

from __future__ import annotations

import asyncio
import random
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.outcomes import CleanedUp, Continue, Outcome, Park, Succeed
from stepflow.core.run import Cleanup, RunState, StopKind, StopRequest
from stepflow.engine.cancel import fail, stop_run
from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.engine.spec import RunSpec
from stepflow.errors import ClaimLost
from stepflow.hooks.webhook import Webhook
from stepflow.settings import Settings, WorkerSettings
from stepflow.store.calls import Call, Plan, command, nothing
from stepflow.store.claims import claim_one, claim_steps, renew_claims, sources_of, waiting_source
from stepflow.store.clock import ManualClock
from stepflow.store.connection.sync import SyncConnection
from stepflow.store.journal import load_journal
from stepflow.store.keys import Keys
from stepflow.store.maintenance import move_due, scan_maintenance, sweep_expired
from stepflow.store.runs import AGAIN, DONE
from stepflow.worker.claimed_run import ClaimedRun, claimed_run_of, run_of
from stepflow.worker.commit import commit
from stepflow.worker.recover import recover_lapsed, recover_lost_delivery
from stepflow.worker.state import WorkerState
from stepflow.worker.step_runtime import StepRuntime

#: seconds: the lease of a claim, the grace after a stop, the wait after a first error, and before a
#: knock counts as lost
LEASE_S, GRACE_S, BACKOFF_S, REDELIVER_AFTER_S = 10.0, 4.0, 8.0, 3.0
#: tries of a step; losses with its workers that a step survives
ATTEMPTS, CRASHES = 2, 2

SETTINGS = Settings(
    worker=WorkerSettings(
        lease_s=LEASE_S,
        stop_grace_s=GRACE_S,
        redeliver_after_s=REDELIVER_AFTER_S,
        max_crashes=CRASHES,
    )
)
#: what every run of these tests tells its end to; nobody delivers it
HOOK = Webhook("https://example.org/told")

#: scripts whose second arrival changes nothing and has another answer: they count or say what they
#: did
COUNTING = {"move_due", "sweep_expired", "scan_maintenance"}


class Killed:
    """What becomes of a plan whose process died on the way."""


KILLED = Killed()


@types.coroutine
def _ask(call: Any) -> Generator[Any, Any, Any]:
    return (yield call)


class HandingLink:
    """
    The async link of a coroutine that is driven by hand: each call is yielded to the driver, who
    sends the answer.
    """

    def send(self, call: Call[Any]) -> Awaitable[Any]:
        return _ask(call)

    async def call(self, call: Call[Any]) -> Any:
        return await _ask(call)

    async def calls(self, calls: list[Call[Any]]) -> Any:
        return await _ask(calls)


def plan_of(work: Coroutine[Any, Any, Any]) -> Plan[Any]:
    """Give a coroutine over a HandingLink as a plan."""
    answer: Any = None
    try:
        while True:
            answer = yield work.send(answer)
    except StopIteration as end:
        return end.value
    finally:
        work.close()


async def _awaited(what: Awaitable[Any]) -> Any:
    return await what


class NumberedDesk(Env):
    """A desk whose request ids and chances can be had again."""

    def __init__(self, name: str, clock: ManualClock) -> None:
        super().__init__(Keys(), SETTINGS, clock, random.Random(name))
        self.name, self.requests = name, 0

    def request_id(self) -> str:
        self.requests += 1
        return f"{self.name}.{self.requests}"


def spec(run_id: str = "a", payload: Any = 0, **options: Any) -> RunSpec:
    """A run as these tests submit it: one try more after an error, one hook."""
    policy = RetryPolicy(max_attempts=ATTEMPTS, initial=BACKOFF_S, jitter=False)
    return RunSpec("x", payload, run_id, webhooks=[HOOK], retry=policy, **options)


@cache
def _worker_state(name: str) -> WorkerState:
    """Make a shift, which wants to be made on a loop; nothing here runs on one."""

    async def begin() -> WorkerState:
        env = NumberedDesk(name, ManualClock())
        return WorkerState(name, env, Registry(), HandingLink(), concurrency=10, queues=["default"])  # type: ignore[arg-type]

    return asyncio.run(begin())


class Worker:
    """
    A worker by hand. It knows what it claimed and not what has become of it since; every verb is a
    plan.
    """

    def __init__(self, name: str, clock: ManualClock, *, runners: tuple[str, ...] = ("x",)) -> None:
        self.name, self.clock, self.number = name, clock, 0
        self.env = NumberedDesk(name, clock)
        self.registry = Registry()
        for runner in runners:
            self.registry.add(runner, _never_called)
        self.worker_state = _worker_state(name)
        self.worker_state.env, self.worker_state.registry = self.env, self.registry
        #: by the token of the claim: it may hold a run again and not know yet that it lost it
        self.runs: dict[str, ClaimedRun] = {}

    def claim(self, *, limit: int = 1, queue: str = "default") -> Plan[list[ClaimedRun]]:
        """Take what waits in the queue, and what waits there for a worker that knows its runner."""
        self.number += limit
        keys, runners = self.env.keys, list(self.registry.runners)
        sources = [
            *sources_of(keys, queue),
            *(waiting_source(keys, queue, runner) for runner in runners),
        ]
        batch = yield claim_steps(
            keys, sources, given=self.clock.given, stem=f"{self.name}.", number=self.number,
            lease_s=LEASE_S, limit=limit, live_workers=1, worker=self.name, now=self.clock.now(),
            runners=runners,
        )  # fmt: skip
        return [self._claimed(taken) for taken in batch.taken]

    def claim_as_stock(self) -> Plan[ClaimedRun | None]:
        """
        Take the first delivery of the queue out and claim it afterwards, as a stock RQ worker does.
        """
        rq_id = yield command(
            "LPOP", "rq:queue:default", read=lambda reply: (reply or b"").decode(), resend=False
        )
        if not rq_id:
            return None
        yield command("DEL", f"rq:job:{rq_id}", read=nothing)  # RQ's to take away, later in truth
        self.number += 1
        member = f"run:{rq_id.split('-')[1]}"
        call = claim_one(
            self.env.keys, member, rq_id, f"{self.name}.s{self.number}.", "default", given=self.clock.given, lease_s=LEASE_S
        )  # fmt: skip
        taken = yield call
        if taken is None:
            return None
        taken.row[b"claimed_id"] = b""
        return self._claimed(taken)

    def _claimed(self, taken: Any) -> ClaimedRun:
        claimed = claimed_run_of(run_of(taken, self.env.keys), taken.data, self.registry)
        claimed.attempt.started_at = self.clock.now()
        claimed.slice_until = float("inf")
        self.runs[claimed.run.token] = claimed
        return claimed

    def commit(self, claimed: ClaimedRun, outcome: Outcome, *, lets_go: bool = False) -> Plan[bool]:
        """Settle the step it holds; True when it goes on with the next one."""
        self.worker_state.is_leaving = lets_go
        keeps = yield from plan_of(commit(claimed, outcome, self.worker_state))
        if not keeps:
            self.forget(claimed)
        return bool(keeps)

    def forget(self, claimed: ClaimedRun) -> None:
        """Put down what it held."""
        self.runs.pop(claimed.run.token, None)

    def work(self, outcome: Outcome) -> Plan[bool | None]:
        """Claim a step and settle it; None when there was none."""
        for claimed in (yield from self.claim()):
            return (yield from self.commit(claimed, outcome))
        return None

    def renew(self, claimed: ClaimedRun) -> Plan[bool]:
        """Lengthen its claim by a lease; False when it is lost."""
        call = renew_claims(
            self.env.keys, [(claimed.member, claimed.run.token, LEASE_S)], given=self.clock.given
        )
        _, [answer] = yield call
        return answer != 0

    def extend(self, claimed: ClaimedRun, seconds: float) -> Plan[bool]:
        return (
            yield from _refusable(
                StepRuntime(claimed, self.worker_state, blocking=False).extend(seconds)
            )
        )

    def put_memo(self, claimed: ClaimedRun, value: Any) -> Plan[bool]:
        return (
            yield from _refusable(
                StepRuntime(claimed, self.worker_state, blocking=False).memo_put("k", value)
            )
        )

    def journal(self, claimed: ClaimedRun, entry: bytes, rest: Cleanup | None = None) -> Plan[int]:
        """Read the journal and add an entry to it; 0 when it was refused."""
        port = StepRuntime(claimed, self.worker_state, blocking=False)
        index = len((yield from plan_of(_awaited(port.load_journal()))))
        return int((yield from plan_of(_awaited(port.add_entry(index, entry, rest)))))

    def take_signal(self, claimed: ClaimedRun) -> Plan[list[Any]]:
        """
        Look into the mailbox and remember what is there: [inbox, item], [inbox] for nothing, []
        when it was refused.
        """
        index = len((yield load_journal(self.env.keys, claimed.run.id)))
        port = StepRuntime(claimed, self.worker_state, blocking=False)
        return list((yield from plan_of(_awaited(port.take_signal(index, b"value|0|", ["go"])))))

    def wait_for_signal(
        self, claimed: ClaimedRun, *, due_in: float | None = None, rest: bool = False
    ) -> Plan[bool]:
        """
        Go on when there is a signal, else park until there is: what a workflow does; True when it
        goes on itself.
        """
        found = yield from self.take_signal(claimed)
        if not found:
            claimed.lose()
            self.forget(claimed)
            return False
        due_at = None if due_in is None else self.clock.now() + due_in
        wait = Park(due_at, int(found[0]), "signal 'go'", needs_cleanup=rest)
        return (yield from self.commit(claimed, wait if len(found) == 1 else Continue(1)))

    def round(self) -> Plan[None]:
        """Look at everything once and do what is needed: what each worker does once a second."""
        keys, env = self.env.keys, self.env
        look = yield scan_maintenance(
            keys, sources_of(keys, "default"), "default", self.name, given=self.clock.given, silent_s=5.0, dead_s=86400.0
        )  # fmt: skip
        for member in look.lapsed:
            yield from recover_lapsed(member, env)
        for run_id in look.overdue:
            yield from stop_run(run_id, StopRequest(StopKind.DEADLINE, "deadline", look.now), env)
        if look.expired:
            yield sweep_expired(keys, given=self.clock.given, limit=100)

    def heed_missing(self) -> Plan[None]:
        """
        Hand over again what has no entry in its queue; what the round does after some seconds of
        it.
        """
        keys = self.env.keys
        look = yield scan_maintenance(
            keys, sources_of(keys, "default"), "default", self.name, given=self.clock.given, silent_s=5.0, dead_s=86400.0
        )  # fmt: skip
        for member in look.missing:
            yield from recover_lost_delivery(member, self.env)

    def move_due(self) -> Plan[None]:
        """Move what has come due into its queue."""
        yield move_due(self.env.keys, given=self.clock.given, now=self.clock.now())


def _refusable(work: Coroutine[Any, Any, Any]) -> Plan[bool]:
    try:
        yield from plan_of(work)
    except ClaimLost:
        return False
    return True


def _never_called(step: Any) -> None:
    raise AssertionError


@dataclass
class World:
    """A server, a clock, workers by name, and a client for each thing asked of it."""

    client: Any
    clock: ManualClock = field(default_factory=ManualClock)
    workers: dict[str, Worker] = field(default_factory=dict)
    clients: int = 0

    def __post_init__(self) -> None:
        self.link: Any = SyncConnection(self.client, "the test's server")
        self.keys = Keys()

    def worker(self, name: str = "w1") -> Worker:
        """Give the worker of that name, which begins when it is first asked for."""
        if name not in self.workers:
            self.workers[name] = Worker(name, self.clock)
        return self.workers[name]

    def env(self) -> NumberedDesk:
        """Give a client of its own."""
        self.clients += 1
        return NumberedDesk(f"c{self.clients}", self.clock)

    def see_through(self, look: Callable[[], dict[str, Any]], worker: str = "last") -> None:
        """
        Bring every run to its end: whoever was at work is dead, and one worker more looks after
        everything.

        *look* is called after each thing it does. A run that only somebody outside can move is
        failed by hand.
        """
        last = self.worker(worker)
        for _ in range(40):
            runs = [seen.run for seen in look().values()]
            if all(run.is_finished for run in runs):
                return
            for run in runs:
                if run.state is RunState.PAUSED or (
                    run.state is RunState.WAITING and not run.due_at
                ):
                    self.carry_out(fail(run.id, "over", self.env()))
            self.clock.advance(700.0)
            for plan in (last.round(), last.heed_missing(), last.move_due()):
                self.carry_out(plan)
                look()
            for claimed in self.carry_out(last.claim(limit=10)):
                look()
                self.carry_out(last.commit(claimed, CleanedUp() if claimed.run.stop else Succeed()))
        raise AssertionError(f"stuck: {look()}")

    def carry_out(
        self, plan: Plan[Any], *, twice: bool = False, calls: int | None = None, asked: Any = None
    ) -> Any:
        """
        Carry a plan out and give what it gives.

        *twice*: every reply is lost once and its command sent again, which must change nothing and
        be answered as at first. *calls*: the process dies after so many. *asked*: what a plan that
        has begun asked last.
        """
        answer: Any = None
        done = 0
        send = partial(self.send, twice=twice)
        try:
            while True:
                asked = plan.send(answer) if asked is None else asked
                if done == calls:
                    plan.close()
                    return KILLED
                answer, done, asked = send(asked), done + 1, None
        except StopIteration as end:
            return end.value

    def send(self, asked: Any, *, twice: bool = False) -> Any:
        """Carry out one call, or a list of them in one round trip."""
        calls = asked if isinstance(asked, list) else [asked]
        answers = self.link.calls(calls)
        if twice and all(call.resend for call in calls):
            before = content(self.client)
            again = self.link.calls(calls)
            names = [call.name for call in calls]
            assert content(self.client) == before, (
                f"the second arrival of {names} changed something"
            )
            for call, first, second in zip(calls, answers, again, strict=True):
                assert is_as_first(first, second) or call.name in COUNTING, (
                    f"{call.name}: {first}, then {second}"
                )
            answers = again
        return answers if isinstance(asked, list) else answers[0]


def is_as_first(first: Any, second: Any) -> bool:
    """
    Say whether a second arrival was answered as the first; a deciding script may say that it knows
    itself.
    """
    if isinstance(first, list) and first[:1] == [DONE]:
        return second in (first, [AGAIN])
    return bool(first == second) or (first, second) == (DONE, AGAIN)


#: how a key of each type is read; what it gives can be compared and written again
_READ: dict[bytes, Callable[[Any, bytes], Any]] = {
    b"string": lambda client, key: client.get(key),
    b"hash": lambda client, key: client.hgetall(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
}

#: all that a database holds: of each key its type, its value and whether it has a time to live
Content = dict[str, tuple[bytes, Any, bool]]


def content(client: Any) -> Content:
    """Read everything, in three round trips."""
    keys = sorted(client.scan_iter(count=1000))
    with client.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.type(key)
            pipe.ttl(key)
        facts = pipe.execute()
        kinds, ttls = facts[::2], facts[1::2]
        for key, kind in zip(keys, kinds, strict=True):
            _READ[kind](pipe, key)
        values = pipe.execute()
    return {
        key.decode(): (kind, value, ttl > 0)
        for key, kind, value, ttl in zip(keys, kinds, values, ttls, strict=True)
    }


def restore(client: Any, there: Content) -> None:
    """Make a database hold that and nothing else."""
    client.flushdb()
    with client.pipeline(transaction=False) as pipe:
        for key, (kind, value, lives_shortly) in there.items():
            match kind:
                case b"string":
                    pipe.set(key, value)
                case b"hash":
                    pipe.hset(key, mapping=value)
                case b"list":
                    pipe.rpush(key, *value)
                case b"set":
                    pipe.sadd(key, *value)
                case b"zset":
                    pipe.zadd(key, dict(value))
            if lives_shortly:
                pipe.expire(key, 1000)
        pipe.execute()
