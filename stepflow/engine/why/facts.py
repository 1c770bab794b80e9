"""The facts by which a run is explained: what was read of it, and of what is around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from stepflow.core.open_command import OpenCommand
from stepflow.core.run import Run
from stepflow.store.hooks import HookRecord

if TYPE_CHECKING:
    from stepflow.store.breakers.record import BreakerRecord
    from stepflow.store.budgets.record import BudgetRecord


@dataclass(frozen=True, slots=True)
class Worker:
    """
    One worker that RQ or the other workers know.

    *queues* are RQ queues in the order in which it serves them. *runners* are the keys of what it
    can run, None when it does not say. *slots* is None for a worker that is not ours. *seen_at*
    (unix seconds) is when it last made its round, 0 when that is forgotten. One that *is_blocked*
    by user code makes no rounds and takes nothing, but keeps what it has.
    """

    name: str
    queues: Sequence[str]
    runners: frozenset[str] | None
    slots: int | None
    host: str = ""
    pid: int = 0
    seen_at: float = 0.0
    is_live: bool = False
    is_blocked: bool = False
    #: which resource is unhealthy, and why: it takes nothing meanwhile; empty when all are well
    trouble: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether it is a worker of stepflow, which does many steps at once."""
        return self.slots is not None

    def knows(self, runner_key: str) -> bool:
        """Whether it says that it can run a runner."""
        return self.runners is not None and runner_key in self.runners


@dataclass(frozen=True, slots=True)
class World:
    """What concerns all runs. *now* is the server's clock, in unix seconds."""

    now: float
    workers: Sequence[Worker] = ()
    is_suspended: bool = False
    #: queues that somebody paused, by their RQ name without a priority: who, why, and since when
    paused: Mapping[str, tuple[str, str, float]] = field(default_factory=dict)
    #: why Redis refuses writes, in words; empty when it does not
    refusal: str = ""
    #: lengths of RQ queues, and entries of them that workers have claimed
    lengths: Mapping[str, int] = field(default_factory=dict)
    claimed: Mapping[str, int] = field(default_factory=dict)
    #: `<rq queue>|<runner key>` of the waiting lists
    waiting_lists: frozenset[str] = frozenset()
    #: seconds within which a lost queue entry is replaced
    redeliver_s: float = 5.0

    @property
    def live(self) -> list[Worker]:
        """Those of our workers that live."""
        return [worker for worker in self.workers if worker.is_live and worker.is_ours]

    def blocked(self, rq_queue: str = "") -> list[Worker]:
        """Those of our workers, of one RQ queue or all, whose event loop code blocks."""
        return [
            worker
            for worker in self.workers
            if worker.is_blocked and worker.is_ours and not worker.is_live
            and (not rq_queue or rq_queue in worker.queues)
        ]  # fmt: skip

    def serving(self, rq_queue: str) -> list[Worker]:
        """Those of our live workers that serve an RQ queue."""
        return [worker for worker in self.live if rq_queue in worker.queues]

    def worker(self, name: str) -> Worker | None:
        """Find the worker of that name."""
        return next((worker for worker in self.workers if worker.name == name), None)


@dataclass(frozen=True, slots=True)
class Indexes:
    """Where a run stands: its scores (unix seconds) in the indexes, None where it does not."""

    lease_at: float | None = None
    due_at: float | None = None
    deadline_at: float | None = None
    is_live: bool = True
    #: the end state of whose list it is a member
    ended_as: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run waits for a claim."""

    rq_queue: str = ""
    queued_at: float | None = None
    #: from 0, None when it is not found
    position: int | None = None
    length: int = 0
    #: whether all of the queue was looked through
    is_searched: bool = True
    #: in the waiting list of its runner
    waiting_position: int | None = None
    waiting_length: int = 0
    is_listed: bool = False
    #: whether that is the list of one build of the runner, for its code was tried elsewhere
    is_of_build: bool = False
    #: its lane, and where it stands there, from 0; None where it does not
    lane: str = ""
    lane_position: int | None = None
    lane_length: int = 0
    #: lanes that take turns, and whether its own is one of them
    lanes: int = 0
    has_turn: bool = True


@dataclass(frozen=True, slots=True)
class MapCounts:
    """How far a map has come; *total* is 0 for one that is settled, or not begun."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    #: the number of the child that is made or released next
    next: int = 0


@dataclass(frozen=True, slots=True)
class Awaited:
    """What a parked run waits for, and what has come for it."""

    commands: Sequence[OpenCommand] = ()
    #: names of the signals that it has not taken, as many as were looked at
    mail: Sequence[str] = ()
    #: digest -> (prompt, what fits in words, an answer that fits) of its open questions
    questions: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    #: name -> (what fits in words, a payload that fits) of the signals that it wants of a type
    signals: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    #: the awaited ids that have ended, or were answered
    arrived: frozenset[str] = frozenset()
    maps: Mapping[str, MapCounts] = field(default_factory=dict)
    #: awaited children without a record
    gone: frozenset[str] = frozenset()
    #: live children that end with it
    children: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """The map in which a run waits for its turn. *parent* is None when it is gone."""

    parent_id: str
    index: int
    parent: Run | None = None
    counts: MapCounts = field(default_factory=MapCounts)
    is_settled: bool = False
    #: whether the delivery that stops the children of an ended parent is in progress
    is_stopping: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """The line of a limit that a run waits in; times are unix seconds, 0 where not known."""

    #: the limit with its key: `stripe[acme]`
    label: str
    since: float
    #: from 0
    position: int
    length: int
    #: how many may be at work at once, None for any number; how many are
    concurrency: int | None
    slots: int
    #: those who have had their slots the longest, and since when
    holders: Sequence[tuple[str, float]] = ()
    #: seconds between two begins, 0 without a rate
    interval: float = 0.0
    #: when the first in line may begin
    next_at: float = 0.0
    #: until when nothing begins
    rests_until: float = 0.0
    #: the step of the run that waits, empty for the run itself
    step: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of one run."""

    run_id: str
    world: World
    run: Run | None
    indexes: Indexes = field(default_factory=Indexes)
    reason: str = ""
    #: `Type: message` of the error that ended it, or of the attempt that failed last
    error: str = ""
    #: the workers whose code did not fit it, in words, and what did not fit
    tried: tuple[str, str] = ("", "")
    #: attempts that its runner's policy allows, 0 when that is not known
    attempts: int = 0
    place: Place = field(default_factory=Place)
    #: the circuit breakers that it waits for, by what its record calls each
    breakers: Mapping[str, BreakerRecord] = field(default_factory=dict)
    #: the budgets that it waits for, likewise
    budgets: Mapping[str, BudgetRecord] = field(default_factory=dict)
    #: since when (unix seconds) the claim of it stands
    claimed_at: float = 0.0
    awaited: Awaited = field(default_factory=Awaited)
    turn: Turn | None = None
    line: Line | None = None
    #: the lines that its steps wait in, by what its record calls each
    lines: Mapping[str, Line] = field(default_factory=dict)
    hooks: Sequence[HookRecord] = ()
    #: hooks in progress that stand in no queue, no claim and no list of what is due
    lost_hooks: Sequence[str] = ()
    #: the child that it waits for
    child: Facts | None = None
    #: when (unix seconds) its record expires, 0 when it is not known
    expires_at: float = 0.0
    #: what the run was submitted with for lists to find it by
    tags: Mapping[str, str] = field(default_factory=dict)
    #: whether the record did not change while the facts were read
    is_still: bool = True
