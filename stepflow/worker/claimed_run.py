"""A claimed run: one worker's claim, from the step it was claimed at to the last one it keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.ids import run_member, split_member
from stepflow.core.run import Run, StopKind, StopRequest
from stepflow.core.runner import Step
from stepflow.core.tried import Tried
from stepflow.core.under_way import Attempts, UnderWay
from stepflow.engine.gate import member_of_delivery
from stepflow.engine.kept import read_tried
from stepflow.engine.registry import RegisteredRunner, Registry
from stepflow.engine.spec import NO_OPTIONS, StoredOptions, read_options
from stepflow.errors import StepflowError, UnreadableRecord
from stepflow.store.calls import NO_HASH
from stepflow.store.claims import ClaimedDelivery
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.keys import Keys
from stepflow.store.run_hash import read_run
from stepflow.store.values import offloaded
from stepflow.store.values.codec import unpack
from stepflow.store.values.offloaded import has_offloaded
from stepflow.worker.events.writer import OutputWriter


class Attempt:
    """
    One attempt at the present step of a claimed run, from before its runner to its commit.

    *payload* is as it was stored. *step_until* and *extended_until* are loop times (seconds), 0
    when there is no limit. *abandoned* says why the runtime cancelled the runner, None while it did
    not.
    """

    #: the offloaded values that it has in memory; not there while it has none
    held: list[object]
    #: set once Redis knows what it has used of its limits; not there while it has said nothing
    settling: asyncio.Event

    __slots__ = (
        "abandoned",
        "extended_until",
        "held",
        "in_runner",
        "is_first",
        "payload",
        "settling",
        "started_at",
        "step",
        "step_until",
        "thread_busy",
    )

    def __init__(self, payload: Any, *, is_first: bool) -> None:
        self.payload = payload
        #: whether the claim began with this step; only then may an earlier attempt have left a memo
        self.is_first = is_first
        self.step: Step[Any] | None = None
        #: unix seconds, for the step record
        self.started_at = 0.0
        self.in_runner = False
        self.step_until = 0.0
        self.extended_until = 0.0
        self.abandoned: str | None = None
        #: whether a thread runs the step's function, which nothing can cancel
        self.thread_busy = False

    def begin(self, step: Step[Any], *, now: float, step_until: float) -> None:
        """Note that the runner is called with *step* at unix time *now*."""
        self.step = step
        self.in_runner = True
        self.started_at = now
        self.step_until = step_until

    async def settled(self) -> None:
        """Wait until Redis knows what it has used of its limits, should it have said that."""
        if (settling := getattr(self, "settling", None)) is not None:
            await settling.wait()

    def end(self) -> None:
        """Note that the runner was left: no time limit holds for the commit."""
        self.in_runner = False
        self.step_until = 0.0


class NotReadYet(Exception):
    """Stands for a payload that is offloaded, until it is read; *packed* leads to it."""

    def __init__(self, packed: bytes) -> None:
        self.packed = packed
        super().__init__("its payload is offloaded and not read yet")


class InboxWatch:
    """
    What a kit's activation tells the worker of itself, and is told about the run's inbox.

    The activation sets *is_waiting* and *on_inbox*; the renewing thread sets *seen*.
    """

    __slots__ = ("attempts", "is_waiting", "on_inbox", "on_let_go", "seen", "told")

    def __init__(self, seen: int) -> None:
        #: how much was ever put into the inbox, as far as this worker was told
        self.seen = seen
        #: whether the workflow only waits for a time or for its inbox, whatever its steps do
        self.is_waiting = False
        #: called on the loop when there is something new
        self.on_inbox: Callable[[], None] | None = None
        #: called on the loop when the worker is to leave the run as soon as a step has ended
        self.on_let_go: Callable[[], None] | None = None
        #: the attempts in progress of its steps; other threads ask
        self.attempts: Attempts | None = None
        #: what was told of them last, packed
        self.told = b""


class ClaimedRun:
    """
    What a worker knows of a run while the claim is its own.

    Touched on the loop's thread; the renewing thread only reads it, but for `InboxWatch.seen`.
    *slice_until* is the loop time (seconds) from which others may have the slot; *stopped_at* is
    the loop time at which the token fired, 0 while it has not.
    """

    __slots__ = (
        "attempt",
        "cancel",
        "claim_rev",
        "connection",
        "inbox_watch",
        "is_leaving",
        "is_lost",
        "must_let_go",
        "must_yield",
        "options",
        "output",
        "policy",
        "run",
        "runner",
        "slice_until",
        "stopped_at",
        "task",
        "tried",
        "unreadable",
    )

    def __init__(
        self,
        run: Run,
        runner: RegisteredRunner,
        options: StoredOptions,
        payload: Any,
        *,
        unreadable: Exception | None = None,
    ) -> None:
        self.run = run
        self.runner = runner
        self.options = options
        self.policy: RetryPolicy = options.policy or runner.policy
        #: what of the run's data cannot be read, or is not yet
        self.unreadable = unreadable
        #: whose code did not fit the run; None for most
        self.tried: Tried | None = None
        self.attempt = Attempt(payload, is_first=True)
        self.inbox_watch = InboxWatch(run.inbox)
        #: the rev that the claim made; ids in the output stream begin with it
        self.claim_rev = run.rev
        #: writes what its steps emit; None while none has emitted anything
        self.output: OutputWriter | None = None
        self.cancel = CancelToken()
        #: what its calls are given to, if its runner has a durability of its own
        self.connection: AsyncCaller | None = None
        self.stopped_at = 0.0
        self.slice_until = 0.0
        #: whether others are owed the slot after the present step
        self.must_yield = False
        #: whether the run is to be left as soon as its present step has ended: it is to pause
        self.must_let_go = False
        self.is_lost = False
        #: whether the worker leaves and hands the step back
        self.is_leaving = False
        self.task: asyncio.Task[None] | None = None

    @property
    def member(self) -> str:
        """The name that claims and the due set know the run by."""
        return run_member(self.run.id)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers the run was submitted with."""
        return self.options.headers

    def under_way(self) -> Sequence[UnderWay]:
        """List the attempts in progress; another thread may ask."""
        attempts, attempt = self.inbox_watch.attempts, self.attempt
        if attempts is not None:
            with suppress(RuntimeError):  # the loop changes the commands meanwhile
                return attempts.under_way()
        elif attempt.in_runner:
            run = self.run
            return [UnderWay("", str(run.step), run.failures + 1, attempt.started_at)]
        return []

    def begin_next_step(self, payload: Any) -> None:
        """Go on with the step after the one just committed, still under this claim."""
        run = self.run
        run.rev += 1
        run.step += 1
        run.failures = run.crashes = run.handoff = 0
        self.attempt = Attempt(payload, is_first=False)

    def let_go(self) -> None:
        """Have the run left as soon as its present step, or a step of its workflow, has ended."""
        self.must_let_go = self.must_yield = True
        if self.inbox_watch.on_let_go is not None:
            self.inbox_watch.on_let_go()

    def stop(self, stop: StopRequest, loop_time: float) -> None:
        """Fire the token: the run was asked to stop."""
        if stop.kind is StopKind.DEADLINE and self.run.ends_at_timeout and self.run.stop is None:
            self.run.stop = stop  # so that nothing is undone; the record says it already
        if not self.stopped_at:
            self.stopped_at = loop_time
            self.cancel.fire(stop.reason or stop.kind.value)

    def lose(self) -> None:
        """Note that the claim is another worker's now: Redis refuses whatever this one writes."""
        self.is_lost = True
        self.cancel.fire("this worker lost its claim")


def run_of(taken: ClaimedDelivery, keys: Keys) -> Run:
    """Read the run of a claimed delivery."""
    _, run_id = split_member(member_of_delivery(taken.rq_id, keys))
    return read_run(run_id, taken.row, keys)


def claimed_run_of(run: Run, data: Mapping[bytes, bytes], registry: Registry) -> ClaimedRun:
    """
    Make the claimed run of a delivery whose runner *registry* knows: the claim script checked that.

    Data that cannot be read pauses the run: somebody may repair it, or a later version can read it.
    """
    claimed = _read_claimed(run, data, registry.runners[run.runner_key])
    if b"tried" in data:
        claimed.tried = read_tried(data[b"tried"])
    return claimed


def _read_claimed(run: Run, data: Mapping[bytes, bytes], runner: RegisteredRunner) -> ClaimedRun:
    options = NO_OPTIONS
    try:
        if data is NO_HASH:
            raise UnreadableRecord.of_run(run.id, "its data is no hash")
        options = read_options(data.get(b"spec"))
        packed = data.get(b"payload", b"")
        if offloaded.in_use is not None and has_offloaded(packed):
            return ClaimedRun(run, runner, options, None, unreadable=NotReadYet(packed))
        return ClaimedRun(run, runner, options, unpack(packed))
    except StepflowError as error:
        return ClaimedRun(run, runner, options, None, unreadable=error)


def hook_id_of(taken: ClaimedDelivery, keys: Keys) -> str:
    """Read the id of the hook that a claimed delivery is for."""
    _, hook_id = split_member(member_of_delivery(taken.rq_id, keys))
    return hook_id
