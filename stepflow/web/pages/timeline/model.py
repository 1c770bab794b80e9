"""What a timeline is drawn from: rows of segments and marks, in unix seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from stepflow.core.outcomes import ErrorInfo
from stepflow.engine.timeline import StepKind, StepState


class Look(StrEnum):
    """What a stretch of a row was spent with; waiting looks different from working."""

    WORK = "work"
    #: an attempt that failed
    FAILED = "failed"
    #: an attempt that was lost with its worker, handed back, or cancelled
    LOST = "lost"
    #: a child or a map is at work
    CHILD = "child"
    #: until the next attempt
    RETRY = "retry"
    #: for a signal
    SIGNAL = "signal"
    #: for an answer
    QUESTION = "question"
    SLEEP = "sleep"
    #: for a worker
    QUEUE = "queue"
    #: for the start of a runner's step: what it left behind does not say whether it was delayed
    START = "start"


#: the looks of what an attempt does itself
AT_WORK = frozenset({Look.WORK, Look.FAILED, Look.LOST})
#: the looks of stretches that are never folded
BUSY = AT_WORK | {Look.CHILD}


class Segment(NamedTuple):
    """A stretch of a row; an open one goes on as long as the run lives."""

    look: Look
    start: float
    end: float
    title: str = ""
    is_open: bool = False


class Mark(NamedTuple):
    """A moment of a row: a signal that came, an answer, a stop."""

    kind: str
    at: float
    title: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """
    The time that a timeline shows.

    *last* is the end of the run, or now while it lives.
    """

    first: float
    last: float
    is_live: bool

    def clip(self, segment: Segment) -> Segment | None:
        """Give what of a segment is inside, closed where the run has ended; None for nothing."""
        start, end = max(segment.start, self.first), min(segment.end, self.last)
        if start > end:
            return None
        return segment._replace(start=start, end=end, is_open=segment.is_open and self.is_live)


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row of a timeline.

    *key* names what it shows: a step's place, the number of a runner's step, a bundle, a child.
    *opens* is the word by which it is opened in place, None for a row that cannot be.
    """

    key: str
    kind: str
    name: str
    state: StepState
    segments: Sequence[Segment] = ()
    marks: Sequence[Mark] = ()
    #: how long the work took that it is about, in seconds
    took_s: float | None = None
    note: str = ""
    run_id: str | None = None
    opens: str | None = None
    is_opened: bool = False
    depth: int = 0
    #: whether it is not over
    is_live: bool = False
    bundle: Bundle | None = None
    #: whether it is about a child, whose time is not that of the run
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a row says of the many rows that it stands for."""

    count: int
    failures: int
    p50_s: float | None
    longest_s: float | None


class Item(NamedTuple):
    """
    A row to be: a step of a workflow, or a step of a runner with its attempts.

    *indexes* say what it is made of.
    """

    key: str
    kind: StepKind
    name: str
    indexes: range
    start: float
    end: float
    took_s: float | None
    has_failed: bool
    is_open: bool = False


#: what a bundle takes of an item: start, end, took_s, has_failed, is_open
Span = tuple[float, float, float | None, bool, bool]


class Items(Protocol):
    """Items in the order in which they began; some are made only when they are asked for."""

    def __len__(self) -> int:
        """Count them."""
        ...

    def __iter__(self) -> Iterator[Item]:
        """Make all of them."""
        ...

    def __getitem__(self, index: int) -> Item:
        """Make one."""
        ...

    def part(self, first: int, stop: int) -> Items:
        """Give those from *first* until before *stop*."""
        ...

    def spans(self) -> Iterable[Span]:
        """Give what a bundle takes of them."""
        ...


Seen = Callable[[ErrorInfo], ErrorInfo]


def _whole(error: ErrorInfo) -> ErrorInfo:
    return error


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody has asked a timeline to show."""

    #: the words of the rows that are open
    opened: frozenset[str] = field(default_factory=frozenset)
    #: nothing is folded
    is_true: bool = False
    #: leaves of an error what may be seen
    seen: Seen = _whole
