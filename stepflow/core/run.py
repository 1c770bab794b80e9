"""A run: its states, its record as last read, and what callers and hooks see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from stepflow.core.ids import Delivery, runner_key
from stepflow.core.outcomes import ErrorInfo


class RunState(StrEnum):
    """The states of a run; the table of ways between them is in `core/transitions.py`."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    WAITING = "waiting"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


#: the three ends; only a retry or a new submit leads out of them
ENDS = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class Priority(IntEnum):
    """Names for three of the priorities of a queue, 0 to 9; 0 goes first, whatever waits."""

    HIGH = 2
    NORMAL = 5
    LOW = 8


#: how many priorities there are, from 0
PRIORITIES = 10


def priority_name(priority: int) -> str:
    """Name a priority as it is shown: `high`, `normal`, `low`, or its digit."""
    return _NAMES.get(priority) or str(priority)


_NAMES = {int(priority): priority.name.lower() for priority in Priority}


class StopKind(StrEnum):
    """Who asks a run to end."""

    CANCEL = "cancel"
    DEADLINE = "deadline"
    FAIL = "fail"
    #: nobody: it failed where its own code could not clean up, and is handed over once more to do
    #: so
    ERROR = "error"


class Cleanup(IntEnum):
    """Whether a run has something left to do before a stop from outside ends it."""

    NONE = 0
    #: compensations, `finally` blocks with steps, or children: a stop hands it over once more
    NEEDED = 1
    #: its children are being stopped, its compensations have begun: nothing can take it up again
    STARTED = 2


class Parked(StrEnum):
    """What wakes a run that stands without a claim and without a place in a queue."""

    #: whatever comes into its inbox, or its due time
    INBOX = "inbox"
    #: its due time alone
    DUE = "due"
    #: the end of another child of its map, of which too many are at work
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class StopRequest:
    """
    A request, written into the run's record, that the run end.

    The cancel token of a running step fires, and no further attempt starts.
    """

    kind: StopKind
    reason: str = ""
    #: unix seconds: when it was asked for
    at: float = 0.0
    #: who asked, where that is known
    by: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stood when it was paused: `resume` puts it there again."""

    state: RunState
    #: what was to wake it, empty for one that was not parked
    parked: str = ""
    #: unix seconds, 0 for at once
    due_at: float = 0.0
    #: how many arrivals its inbox had had: more of them wake it when it is resumed
    inbox: int = 0


@dataclass(frozen=True, slots=True)
class PauseRequest:
    """
    Somebody's request, written into the run's record, that it stand until it is resumed.

    A worker that has claimed the run finishes the present step first.
    """

    by: str = ""
    reason: str = ""
    #: unix seconds: when it was asked for
    at: float = 0.0
    #: None while a worker still has the run
    stood: Standing | None = None


@dataclass(frozen=True, slots=True)
class Damage:
    """
    One thing in a record that cannot be read: a *field*, and the bytes it *held*.

    With an empty *field*, the record's key holds no hash at all.
    """

    field: str = ""
    held: bytes = b""

    def __str__(self) -> str:
        if not self.field:
            return "its key holds no hash"
        return (
            f"field {self.field!r} holds {self.held[:60]!r}"
            if self.held
            else f"it has no field {self.field!r}"
        )


class UnreadableText(str):
    """Words that are shown in place of a value that cannot be read."""

    __slots__ = ()


@dataclass(slots=True)
class Run:
    """
    A run's record as last read. Times are unix seconds by the Redis server's clock.

    *rev* grows with every deciding write; *token* is that of the live claim, empty without one;
    *delivery* is the RQ id of the one delivery that a claim would accept, empty without one;
    *failures* and *crashes* count for the present step.
    """

    id: str
    runner: str
    queue: str = "default"
    #: 0 (first) to 9; see `Priority`
    priority: int = Priority.NORMAL
    state: RunState = RunState.PENDING
    rev: int = 1
    generation: int = 0
    step: int = 0
    failures: int = 0
    crashes: int = 0
    handoff: int = 0
    delivery: str = ""
    due_at: float = 0.0
    token: str = ""
    claimed_rq_id: str = ""
    stop: StopRequest | None = None
    ends: int = 0
    digest: bytes = b""
    created_at: float = 0.0
    started_at: float = 0.0
    updated_at: float = 0.0
    ended_at: float = 0.0
    deadline_at: float = 0.0
    #: unix seconds since when no worker that came by knows the runner; 0 when one does
    unroutable_since: float = 0.0
    #: how many arrivals the run's inbox has had in all
    inbox: int = 0
    has_journal: bool = False
    #: what a parked run waits for, in a few words
    waits_for: str = ""
    #: what wakes a parked run, one of `Parked`; empty for one that is not parked
    parked: str = ""
    #: who asked it to pause, None when nobody did
    pause: PauseRequest | None = None
    #: whether the run needs a cleanup before a stop ends it
    cleanup: Cleanup = Cleanup.NONE
    #: the version of its workflow; 1 for a runner without versions
    version: int = 1
    #: for a fork: "<id>.<generation>|<created at>" of the run whose journal it began with
    origin: str = ""
    #: whether the run has begun children
    has_children: bool = False
    #: who asked it to stop, or ended it; empty where that is not known
    stopped_by: str = ""
    #: its limits, each as `name|key|units` in a line; empty for most
    limits: str = ""
    #: the limit in whose line it waits, or from which it was called: `name|key|since`
    held: str = ""
    has_asks: bool = False  # of its steps, for limits
    #: whether the run has ever emitted something
    has_output: bool = False
    #: whether only its input and its end were kept when it ended
    is_cleared: bool = False
    is_to_archive: bool = False  # its end is noted for the archive
    has_tags: bool = False  # it was given some
    #: the id of the schedule that began the run at one of its times
    schedule: str = ""
    #: whether its timeout ends it as it stands, with nothing undone
    ends_at_timeout: bool = False
    #: the id of the group that the run is a member of
    group: str = ""
    #: the fair lane of its queue in which it waits; empty for none
    lane: str = ""
    #: `singleton:<key>` or `debounce:<key>` of the key that it has, empty for none
    once: str = ""
    #: the fields that could not be read and stand at their default here
    damage: Sequence[Damage] = ()

    @property
    def unreadable(self) -> str | None:
        """What in the record could not be read, in words; None when all of it could."""
        return "; ".join(map(str, self.damage)) or None

    @property
    def rev_held(self) -> int | bytes:
        """The rev as the record has it, readable or not: guards compare it."""
        return next(
            (damage.held for damage in self.damage if damage.field in {"", "rev"}), self.rev
        )

    @property
    def runner_key(self) -> str:
        """The key of the runner, in the run's version, that a worker must have to claim the run."""
        return runner_key(self.runner, self.version)

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended."""
        return self.ended_at > 0

    @property
    def is_claimed(self) -> bool:
        """Whether a worker has claimed the present step."""
        return bool(self.token)

    def cleans_up(self, stop: StopKind) -> bool:
        """
        Whether a stop of this kind has the run clean up before it ends.

        What was stopped otherwise, or has begun to undo, goes on, whatever its timeout is to do.
        """
        if not self.cleanup or self.cleanup is Cleanup.STARTED or not self.ends_at_timeout:
            return bool(self.cleanup)
        kinds = {stop, stop if self.stop is None else self.stop.kind}
        return kinds != {StopKind.DEADLINE}

    @property
    def is_timed_out_for_good(self) -> bool:
        """Whether its timeout has stopped it, and nothing is to be undone."""
        return (
            self.ends_at_timeout
            and self.stop is not None
            and self.stop.kind is StopKind.DEADLINE
            and self.cleanup is not Cleanup.STARTED
        )

    @property
    def seed(self) -> str:
        """
        The seed of a workflow's random numbers.

        A fork has the seed of its origin, for it remembers what the origin drew.
        """
        return (
            self.origin.partition("|")[0]
            if self.origin and not self.generation
            else f"{self.id}.{self.generation}"
        )

    @property
    def began_at(self) -> float:
        """
        When the history that the run remembers began, in unix seconds.

        For a fork, when its origin was created.
        """
        return (
            float(self.origin.partition("|")[2])
            if self.origin and not self.generation
            else self.created_at
        )

    def next_delivery(self, step: int) -> Delivery:
        """Name the delivery that will hand over *step*: the first of a new one, or one more."""
        return Delivery(
            self.id, step, self.generation, self.handoff + 1 if step == self.step else 0
        )


def _empty() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class RunStatus:
    """
    What is known of a run.

    *step* counts from 0, *attempt* from 1 within the step. Times are aware datetimes, or None.
    *waits_for* says what it waits for, *version* is that of the workflow that it was submitted for,
    *is_archived* says that Redis has forgotten it.
    """

    id: str
    runner: str
    state: RunState
    queue: str = "default"
    priority: str = "normal"
    step: int = 0
    attempt: int = 1
    crashes: int = 0
    generation: int = 0
    headers: Mapping[str, str] = field(default_factory=_empty)
    payload: Any = None
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None
    #: the compensations that failed
    compensation_errors: Sequence[ErrorInfo] = ()
    waits_for: str | None = None
    worker: str | None = None
    created_at: datetime | None = None
    due_at: datetime | None = None
    started_at: datetime | None = None
    updated_at: datetime | None = None
    ended_at: datetime | None = None
    deadline_at: datetime | None = None
    version: int = 1
    #: the id of the run that began this one with `ctx.spawn` or `ctx.map`
    parent: str | None = None
    #: whether it is known to be a workflow's: *step* then counts activations, and `client.steps`
    #: gives the steps
    is_workflow: bool = False
    #: what of its record cannot be read; the fields concerned hold words that say so, or nothing
    unreadable: str | None = None
    #: what it was submitted with for lists to find it by
    tags: Mapping[str, str] = field(default_factory=_empty)
    #: the lane of its queue in which it waits for its turn, None for none
    lane: str | None = None
    group: str | None = None
    is_archived: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether the run has ended."""
        return self.state in ENDS


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """
    The end of a run, as a hook receives it.

    *status* is `succeeded`, `failed` or `cancelled`. *end* counts from 1: a run that is retried
    ends again. Times are aware datetimes.
    """

    run_id: str
    runner: str
    status: str
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None
    headers: Mapping[str, str] = field(default_factory=_empty)
    final_step: int = 0
    attempts: int = 1
    generation: int = 0
    end: int = 1
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    #: the compensations that failed
    compensation_errors: Sequence[ErrorInfo] = ()
