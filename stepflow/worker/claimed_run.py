"""
A hold: one worker's claim of one run, from the step it was claimed at to the last one it kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.run import Run, StopRequest
from stepflow.core.runner import Step
from stepflow.engine.gate import member_of_delivery
from stepflow.engine.registry import RegisteredRunner
from stepflow.engine.spec import NO_OPTIONS, StoredOptions, read_options
from stepflow.errors import StepflowError, UnreadableRecord
from stepflow.store.calls import NO_HASH
from stepflow.store.claims import ClaimedDelivery
from stepflow.store.keys import Keys
from stepflow.store.run_hash import read_run
from stepflow.store.values.codec import unpack

if TYPE_CHECKING:
    from stepflow.engine.registry import Registry


class ClaimedRun:
    """
    What a worker knows of a run it holds.

    Touched on the loop's thread; the renewing thread only reads, but for *inbox*.

    *step_until* and *slice_until* are loop times (seconds), 0 when there is no limit; *stopped_at*
    is when the token fired. *abandoned* says why the runner was cancelled by the runtime, None
    while it was not.
    """

    __slots__ = (
        "abandoned",
        "cancel",
        "runner",
        "extended_until",
        "options",
        "headers",
        "in_runner",
        "inbox",
        "is_first",
        "is_waiting",
        "is_leaving",
        "is_lost",
        "on_inbox",
        "payload",
        "policy",
        "run",
        "slice_until",
        "started_at",
        "step",
        "step_until",
        "stopped_at",
        "task",
        "thread_busy",
        "unreadable",
        "must_yield",
    )

    def __init__(
        self, run: Run, entry: RegisteredRunner, given: StoredOptions, payload: Any
    ) -> None:
        self.run = run
        self.runner = entry
        self.options = given
        self.headers: Mapping[str, str] = given.headers
        self.policy: RetryPolicy = given.policy or entry.policy
        self.payload = payload
        self.cancel = CancelToken()
        self.step: Step[Any] | None = None
        self.is_first = True
        self.must_yield = False
        self.is_lost = False
        #: the runner itself waits for a time or for news, whatever runs on its behalf
        self.is_waiting = False
        self.in_runner = False
        #: how much was ever put into the run's inbox, as the renewing thread last heard
        self.inbox = run.inbox
        self.on_inbox: Callable[[], None] | None = None
        self.is_leaving = False
        #: what of the run's data cannot be read
        self.unreadable: Exception | None = None
        self.thread_busy = False
        self.abandoned: str | None = None
        self.started_at = 0.0
        self.slice_until = 0.0
        self.step_until = 0.0
        self.extended_until = 0.0
        self.stopped_at = 0.0
        self.task: asyncio.Task[None] | None = None

    @property
    def member(self) -> str:
        """The name that claims and the due set know the run by."""
        return f"run:{self.run.id}"

    def stop(self, stop: StopRequest, loop_time: float) -> None:
        """Fire the token: the run was asked to stop."""
        if not self.stopped_at:
            self.stopped_at = loop_time
            self.cancel.fire(stop.reason or stop.kind.value)

    def lose(self) -> None:
        """Note that the claim is another's now; whatever this hold writes is refused."""
        self.is_lost = True
        self.cancel.fire("this worker lost its claim")


log = logging.getLogger("stepflow.run")


def run_of(taken: ClaimedDelivery, keys: Keys) -> Run:
    """Read the run that a claim brought."""
    return read_run(member_of_delivery(taken.rq_id, keys).removeprefix("run:"), taken.row, keys)


def claimed_run_of(run: Run, data: Mapping[bytes, bytes], registry: Registry) -> ClaimedRun:
    """
    Make the hold of a claimed step; the claim script saw to it that this worker knows the runner.

    Data that cannot be read pauses the run: somebody may repair it, or a later version can read it.
    """
    entry, given = registry.runners[run.runner_key], NO_OPTIONS
    try:
        if data is NO_HASH:
            raise UnreadableRecord.of_run(run.id, "its data is no hash")
        given = read_options(data.get(b"spec"))
        return ClaimedRun(run, entry, given, unpack(data.get(b"payload", b"")))
    except StepflowError as error:
        claimed = ClaimedRun(run, entry, given, None)
        claimed.unreadable = error
        return claimed


def hook_id_of(taken: ClaimedDelivery, keys: Keys) -> str:
    """Read the hook id that a claimed delivery of a hook belongs to."""
    return member_of_delivery(taken.rq_id, keys).removeprefix("hook:")
