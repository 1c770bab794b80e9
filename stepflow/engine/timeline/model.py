"""The timeline of a run, as values that JSON can carry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from stepflow.core.fanout.progress import Progress
from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunStatus
from stepflow.core.step_record import Attempts
from stepflow.shell import to_type

#: what a question is called once it is settled: what was asked is kept only until then
ANSWERED, UNANSWERED = "answered", "not answered in time"
#: what the children are called whose ends a run waits for before its own
EVERY_CHILD = "all of them"


class StepKind(StrEnum):
    """What a step of a run is: a call of your function, a wait, a child, or a note of the run."""

    STEP = "step"
    COMPENSATION = "compensation"
    SLEEP = "sleep"
    SIGNAL = "signal"
    QUESTION = "question"
    CHILD = "child"
    MAP = "map"
    BATCH = "batch"
    #: a machine entered this state; what it did there follows
    STATE = "state"
    VARIABLE = "variable"
    #: `ctx.forget`
    FORGET = "forget"
    #: `ctx.patched` took the new way
    PATCH = "patch"
    #: the run continued as new here
    RESTART = "restart"
    #: the run was asked to stop here
    STOP = "stop"
    #: from here on what was done is undone
    UNDO = "undo"
    #: an entry that this version cannot read
    UNREADABLE = "unreadable"


class StepState(StrEnum):
    """Where a step is; those from `succeeded` on are ends."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    #: an attempt failed, the next one is due
    RETRYING = "retrying"
    WAITING = "waiting"
    #: of a child: somebody has to resume it
    PAUSED = "paused"
    #: of a child: it was asked to stop
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    #: a wait ended because its time was up
    TIMED_OUT = "timed out"
    #: the attempt was lost with its worker
    LOST = "lost"
    #: the attempt was handed back by a leaving worker, or has to wait before it may go on
    HANDED_BACK = "handed back"


#: the states in which a step is not over
OPEN_STATES = (
    StepState.SCHEDULED, StepState.PENDING, StepState.RUNNING, StepState.RETRYING,
    StepState.WAITING, StepState.PAUSED, StepState.CANCELLING,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """An attempt of a workflow's step that failed, and was followed by another."""

    #: None where it is not known
    started_at: datetime | None
    ended_at: datetime | None
    #: when the next one was due
    next_at: datetime | None
    error: ErrorInfo | None


@dataclass(frozen=True, slots=True)
class StepStatus:
    """
    One step of a run: for a workflow a `ctx` call, for a runner an attempt.

    *name* is empty for a step that is under way and has left nothing in Redis yet. *attempt* counts
    from 1. Times are aware datetimes, None where they are not known. *until* is when an open wait
    ends at the latest, or the next attempt is due. *run_id* is the run of a child; *done* of
    *total* children of a map, or items of a batch, have ended.
    """

    kind: StepKind
    name: str
    state: StepState
    attempt: int = 1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    #: how long it took, for steps the last attempt; None while it is under way or not known
    took_s: float | None = None
    until: datetime | None = None
    error: ErrorInfo | None = None
    value: Any = None
    worker: str | None = None
    run_id: str | None = None
    #: answers the question
    token: str | None = None
    #: JSON that fits the open question; None where its schema does not say what does
    example: str | None = None
    done: int | None = None
    total: int | None = None
    #: of a batch: how many of those done have failed for good
    failed: int | None = None
    #: the key of a keyed step
    key: str | None = None
    #: where in a workflow it stands; None for the steps of a runner
    place: str | None = None
    #: the number of a runner's step, from 0; None in a workflow
    number: int | None = None
    #: what the runner said of its step (`continue`, `succeed`, `raised` ...); None in a workflow
    outcome: str | None = None
    #: the attempts before this one, for steps of a workflow; those of a runner are steps themselves
    failed_attempts: Sequence[FailedAttempt] = ()

    @property
    def answering(self) -> str:
        """What to type to answer an open question, with an example; empty for anything else."""
        return to_type("answer", self.token, self.example or "JSON") if self.token else ""

    @property
    def progress(self) -> str:
        """How far a batch has come: `412 of 500, 3 failed`; empty for anything else."""
        if self.kind is not StepKind.BATCH or self.total is None:
            return ""
        failed = self.failed or 0
        return str(Progress(self.total, (self.done or 0) - failed, failed))

    @property
    def is_open(self) -> bool:
        """Whether it is not over."""
        return self.state in OPEN_STATES


@dataclass(frozen=True, slots=True)
class Trace:
    """
    What the timeline of a run is made of, quick to read for a run of many steps.

    *attempts* are the records of a runner's steps, or of a workflow's activations; *steps* are
    those of a workflow, or the one that a runner's run is at. *child_ends* say when children ended,
    in unix seconds, by run id; the steps say when the run took that in.
    """

    run: RunStatus
    steps: Sequence[StepStatus]
    attempts: Attempts
    is_workflow: bool
    restarts: int = 0
    child_ends: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    The steps of a run in the order in which they started, and the status of the run at that time.

    *is_workflow* is False for the run of a runner. *restarts* counts how often the run has
    continued as new; only its current history is kept.
    """

    run: RunStatus
    steps: Sequence[StepStatus]
    is_workflow: bool
    restarts: int = 0

    def __iter__(self) -> Iterator[StepStatus]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def entered(self) -> StepStatus | None:
        """The visit of the state that a machine has entered last; None for any other run."""
        entered = (step for step in reversed(self.steps) if step.kind is StepKind.STATE)
        return next(entered, None)

    @property
    def open(self) -> Sequence[StepStatus]:
        """Those that are not over: what is under way, and what the run waits for."""
        return [] if self.run.is_finished else [step for step in self.steps if step.is_open]
