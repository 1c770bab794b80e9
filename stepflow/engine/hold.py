"""A hold: one worker's claim of one run, from the step it was claimed at to the last one it kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from stepflow.core.backoff import RetryPolicy
from stepflow.core.cancel import CancelToken
from stepflow.core.run import Run, Stop
from stepflow.core.runner import Step
from stepflow.engine.registry import Registered
from stepflow.engine.spec import Given


class Hold:
    """
    What a worker knows of a run it holds. Touched on the loop's thread; the renewing thread only reads, but for *inbox*.

    *step_until* and *slice_until* are loop times (seconds), 0 when there is no limit; *stopped_at* is when the token
    fired. *abandoned* says why the runner was cancelled by the runtime, None while it was not.
    """

    __slots__ = (
        "abandoned",
        "cancel",
        "entry",
        "extended_until",
        "given",
        "headers",
        "in_runner",
        "inbox",
        "is_first",
        "is_waiting",
        "leaves",
        "lost",
        "on_news",
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
        "yields",
    )

    def __init__(self, run: Run, entry: Registered, given: Given, payload: Any) -> None:
        self.run = run
        self.entry = entry
        self.given = given
        self.headers: Mapping[str, str] = given.headers
        self.policy: RetryPolicy = given.policy or entry.policy
        self.payload = payload
        self.cancel = CancelToken()
        self.step: Step[Any] | None = None
        self.is_first = True
        self.yields = False
        self.lost = False
        #: the runner itself waits for a time or for news, whatever runs on its behalf
        self.is_waiting = False
        self.in_runner = False
        #: how much was ever put into the run's inbox, as the renewing thread last heard
        self.inbox = run.inbox
        self.on_news: Callable[[], None] | None = None
        self.leaves = False
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

    def stop(self, stop: Stop, loop_time: float) -> None:
        """Fire the token: the run was asked to stop."""
        if not self.stopped_at:
            self.stopped_at = loop_time
            self.cancel.fire(stop.reason or stop.kind.value)

    def lose(self) -> None:
        """Note that the claim is another's now; whatever this hold writes is refused."""
        self.lost = True
        self.cancel.fire("this worker lost its claim")
