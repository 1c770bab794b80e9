"""
The engine's own plans, one call at a time, in any order a test wants.

They are what clients, workers and maintenance do.

Everything here is the real thing. A verb that is a plan is carried out call by call; a coroutine
over an async connection (commit, the writes of a kit) becomes one over `HandingLink`. Time stands
still.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from stepflow.core.backoff import RetryPolicy
from stepflow.core.ids import build_key
from stepflow.core.outcomes import CleanedUp, Continue, Outcome, Park, Succeed
from stepflow.core.run import Cleanup, RunState, StopKind, StopRequest
from stepflow.engine.cancel import fail, stop_run
from stepflow.engine.env import Env
from stepflow.engine.registry import Registry
from stepflow.engine.spec import RunSpec
from stepflow.errors import ClaimLost
from stepflow.hooks.webhook import Webhook
from stepflow.settings import Settings, WorkerSettings
from stepflow.store.calls import Call, Plan, batch_of, command, nothing
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
from stepflow.worker.runtime.step_runtime import StepRuntime
from stepflow.worker.state import WorkerState

T = TypeVar("T")

#: seconds: the lease of a claim, the grace after a stop, the wait after a first error, and before a
#: delivery counts as lost
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
#: a build that a run may be handed on to, and that no worker of the world has
OTHER_BUILD = "other"
#: what every run of these tests tells its end to; nobody delivers it
HOOK = Webhook("https://example.org/told")

#: scripts whose second arrival changes nothing and has another answer: they count or say what they
#: did
COUNTING = {"move_due", "sweep_expired", "scan_maintenance"}


class Killed:
    """What becomes of a plan whose process died on the way."""


KILLED = Killed()


class HandingLink:
    """
    An async connection for a coroutine that is driven by hand, which makes it a plan: each call is
    handed to the driver, who sends the answer.
    """

    def send(self, call: Call[T]) -> Call[T]:
        return call

    async def call(self, call: Call[T]) -> T:
        return await call

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        return await batch_of(calls)


class NumberedEnv(Env):
    """An environment whose request ids and chances can be had again."""

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
    """Make the state of a worker, on a loop, as it must be; nothing here runs on one."""

    async def begin() -> WorkerState:
        env = NumberedEnv(name, ManualClock())
        return WorkerState(name, env, Registry(), HandingLink(), concurrency=10, queues=["default"])  # type: ignore[arg-type]

    return asyncio.run(begin())


class Worker:
    """
    A worker by hand. It knows what it claimed and not what has become of it since; every verb is a
    plan.
    """

    def __init__(self, name: str, clock: ManualClock, *, runners: tuple[str, ...] = ("x",)) -> None:
        self.name, self.clock, self.number = name, clock, 0
        self.env = NumberedEnv(name, clock)
        self.registry = Registry()
        for runner in runners:
            self.registry.add(runner, _never_called)
        self.worker_state = _worker_state(name)
        self.worker_state.env, self.worker_state.registry = self.env, self.registry
        #: by the token of the claim: it may claim a run again before it knows that it lost it
        self.runs: dict[str, ClaimedRun] = {}

    async def claim(self, *, limit: int = 1, queue: str = "default") -> list[ClaimedRun]:
        """Take what waits in the queue, and what waits there for a worker that knows its runner."""
        self.number += limit
        keys, runners = self.env.keys, list(self.registry.runners)
        sources = [
            *sources_of(keys, queue),
            *(waiting_source(keys, queue, runner) for runner in runners),
            # of a build that no live worker has: whoever knows the runner takes it over
            *(waiting_source(keys, queue, build_key(runner, OTHER_BUILD)) for runner in runners),
        ]
        claims = await claim_steps(
            keys, sources, given=self.clock.given, stem=f"{self.name}.", number=self.number,
            lease_s=LEASE_S, limit=limit, live_workers=1, worker=self.name, now=self.clock.now(),
            runners=runners,
        )  # fmt: skip
        return [self._claimed(taken) for taken in claims.taken]

    async def claim_as_stock(self) -> ClaimedRun | None:
        """
        Take the first delivery of the queue out and claim it afterwards, as a stock RQ worker does.
        """
        rq_id = await command(
            "LPOP", "rq:queue:default", read=lambda reply: (reply or b"").decode(), resend=False
        )
        if not rq_id:
            return None
        await command("DEL", f"rq:job:{rq_id}", read=nothing)  # RQ's to take away, later in truth
        self.number += 1
        member = f"run:{rq_id.split('-')[1]}"
        taken = await claim_one(
            self.env.keys, member, rq_id, f"{self.name}.s{self.number}.", "default",
            given=self.clock.given, lease_s=LEASE_S,
        )  # fmt: skip
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

    async def commit(self, claimed: ClaimedRun, outcome: Outcome, *, lets_go: bool = False) -> bool:
        """Settle the step it has claimed; True when it goes on with the next one."""
        self.worker_state.is_leaving = lets_go
        keeps = await commit(claimed, outcome, self.worker_state)
        if not keeps:
            self.forget(claimed)
        return bool(keeps)

    def forget(self, claimed: ClaimedRun) -> None:
        """Drop what it had claimed."""
        self.runs.pop(claimed.run.token, None)

    async def work(self, outcome: Outcome) -> bool | None:
        """Claim a step and settle it; None when there was none."""
        for claimed in await self.claim():
            return await self.commit(claimed, outcome)
        return None

    async def renew(self, claimed: ClaimedRun) -> bool:
        """Lengthen its claim by a lease; False when it is lost."""
        call = renew_claims(
            self.env.keys, [(claimed.member, claimed.run.token, LEASE_S)], given=self.clock.given
        )
        _, [answer] = await call
        return answer != 0

    async def extend(self, claimed: ClaimedRun, seconds: float) -> bool:
        return await _refusable(self._runtime(claimed).extend(seconds))

    async def put_memo(self, claimed: ClaimedRun, value: Any) -> bool:
        return await _refusable(self._runtime(claimed).memo_put("k", value))

    def _runtime(self, claimed: ClaimedRun) -> StepRuntime:
        return StepRuntime(claimed, self.worker_state, blocking=False)

    async def journal(self, claimed: ClaimedRun, entry: bytes, rest: Cleanup | None = None) -> int:
        """Read the journal and add an entry to it; 0 when it was refused."""
        runtime = self._runtime(claimed)
        index = len(await runtime.load_journal())
        return int(await runtime.add_entry(index, entry, rest))

    async def take_signal(self, claimed: ClaimedRun) -> list[Any]:
        """
        Look into the mailbox and remember what is there: [inbox, item], [inbox] for nothing, []
        when it was refused.
        """
        index = len(await load_journal(self.env.keys, claimed.run.id))
        runtime = self._runtime(claimed)
        return list(await runtime.take_signal(index, b"value|0|", ["go"]))

    async def wait_for_signal(
        self, claimed: ClaimedRun, *, due_in: float | None = None, rest: bool = False
    ) -> bool:
        """
        Go on when there is a signal, else park until there is: what a workflow does; True when it
        goes on itself.
        """
        found = await self.take_signal(claimed)
        if not found:
            claimed.lose()
            self.forget(claimed)
            return False
        due_at = None if due_in is None else self.clock.now() + due_in
        wait = Park(due_at, int(found[0]), "signal 'go'", needs_cleanup=rest)
        return await self.commit(claimed, wait if len(found) == 1 else Continue(1))

    async def round(self) -> None:
        """Look at everything once and do what is needed: what each worker does once a second."""
        keys, env = self.env.keys, self.env
        look = await scan_maintenance(
            keys, sources_of(keys, "default"), "default", self.name, given=self.clock.given,
            silent_s=5.0, dead_s=86400.0,
        )  # fmt: skip
        for member in look.lapsed:
            await recover_lapsed(member, env)
        for run_id in look.overdue:
            await stop_run(run_id, StopRequest(StopKind.DEADLINE, "deadline", look.now), env)
        if look.expired:
            await sweep_expired(keys, given=self.clock.given, limit=100)

    async def redeliver_missing(self) -> None:
        """
        Hand over again what has no entry in its queue; what the round does after some seconds of
        it.
        """
        keys = self.env.keys
        look = await scan_maintenance(
            keys, sources_of(keys, "default"), "default", self.name, given=self.clock.given,
            silent_s=5.0, dead_s=86400.0,
        )  # fmt: skip
        for member in look.missing:
            await recover_lost_delivery(member, self.env)

    async def move_due(self) -> None:
        """Move what has come due into its queue."""
        await move_due(self.env.keys, given=self.clock.given, now=self.clock.now())


async def _refusable(work: Awaitable[object]) -> bool:
    try:
        await work
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
        self.connection = SyncConnection(self.client, "the test's server")
        self.keys = Keys()

    def worker(self, name: str = "w1") -> Worker:
        """Give the worker of that name, which begins when it is first asked for."""
        if name not in self.workers:
            self.workers[name] = Worker(name, self.clock)
        return self.workers[name]

    def env(self) -> NumberedEnv:
        """Give a client of its own."""
        self.clients += 1
        return NumberedEnv(f"c{self.clients}", self.clock)

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
            for plan in (last.round, last.redeliver_missing, last.move_due):
                self.carry_out(plan())
                look()
            for claimed in self.carry_out(last.claim(limit=10)):
                look()
                self.carry_out(last.commit(claimed, CleanedUp() if claimed.run.stop else Succeed()))
        raise AssertionError(f"stuck: {look()}")

    def carry_out(
        self,
        plan: Plan[Any],
        *,
        twice: bool = False,
        calls: int | None = None,
        asked: list[Call[Any]] | None = None,
    ) -> Any:
        """
        Carry a plan out and give what it gives.

        *twice*: every reply is lost once and its command sent again, which must change nothing and
        be answered as at first. *calls*: the process dies after so many. *asked*: what a plan that
        has begun asked last.
        """
        done = 0
        try:
            asked = plan.send(None) if asked is None else asked
            while done != calls:
                asked, done = plan.send(self.send(asked, twice=twice)), done + 1
        except StopIteration as end:
            return end.value
        finally:
            plan.close()
        return KILLED

    def send(self, calls: list[Call[Any]], *, twice: bool = False) -> list[Any]:
        """Carry out the calls of one round trip."""
        answers = self.connection.calls(calls)
        if not twice or not all(call.resend for call in calls):
            return answers
        before = content(self.client)
        again = self.connection.calls(calls)
        names = [call.name for call in calls]
        assert content(self.client) == before, f"the second arrival of {names} changed something"
        for call, first, second in zip(calls, answers, again, strict=True):
            assert is_as_first(first, second) or call.name in COUNTING, (
                f"{call.name}: {first}, then {second}"
            )
        return again


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
