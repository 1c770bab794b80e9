"""What operations take and give, where that is no type of stepflow's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import PRIORITIES, RunState, RunStatus
from stepflow.engine.stats.read import HOURS, MINUTES, MOST_HOURS, MOST_MINUTES
from stepflow.engine.steering.bulk import MOST_RATE, RATE
from stepflow.engine.timeline import StepStatus
from stepflow.engine.why import Why
from stepflow.errors import InvalidOption, shown

#: what a run id, and the names of runners and queues, look like
RUN_ID = r"^[A-Za-z0-9_-]{1,128}$"
NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,199}$"
QUEUE = r"^[A-Za-z0-9_-]{1,64}$"
SIGNAL = r"^[A-Za-z0-9_.:-]{1,100}$"
#: rows that a list gives at most
MOST_ROWS = 1000
#: seconds that a delay, a timeout or a wait may have
_YEAR_S = 366 * 86_400


class Given(BaseModel):
    """What a caller gives: nothing unknown, nothing of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Nothing(Given):
    """No field at all."""


def whole(value: object) -> object:
    """Read a whole number of a query; what is none is left to be refused."""
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10  # noqa: PLR2004
    return int(value) if is_number else value  # type: ignore[call-overload]


def integer(value: object) -> object:
    """Read 2.0 as 2, as JSON schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object) -> object:
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


Rows = Annotated[int, Field(ge=1, le=MOST_ROWS), BeforeValidator(whole)]
Version = Annotated[int, Field(ge=1, le=2**31), BeforeValidator(integer)]
#: high, normal, low, or 0 (first) to 9, which may be a digit in text
Level = (
    Annotated[str, Field(pattern=r"^(high|normal|low|[0-9])$")]
    | Annotated[int, Field(ge=0, lt=PRIORITIES), BeforeValidator(integer)]
)
Flag = Annotated[bool, BeforeValidator(_flag)]
RunId = Annotated[str, Field(pattern=RUN_ID)]
#: seconds
Span = Annotated[float, Field(ge=0, le=_YEAR_S, allow_inf_nan=False)]
Reason = Annotated[str, Field(max_length=1000)]
Where = Annotated[str, Field(min_length=1, max_length=2000)]
#: key=value
Pair = Annotated[str, Field(pattern="^[^=]+=")]


def moment_of(text: str, what: str) -> datetime:
    """Read a time in ISO 8601 with its offset; raises InvalidOption."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        msg = f"{what} is {shown(text)}; write it in ISO 8601 with an offset: 2030-01-01T09:00:00Z"
        raise InvalidOption(msg)
    return found


class ListQuery(Given):
    """Which runs are listed."""

    state: Annotated[RunState, Field(strict=False)] | None = None
    runner: Annotated[str, Field(pattern=NAME)] | None = None
    queue: Annotated[str, Field(pattern=QUEUE)] | None = None
    parent: RunId | None = None
    roots: Flag = False
    since: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    header: list[Pair] = Field(default_factory=list)
    tag: list[Pair] = Field(default_factory=list)
    where: Where | None = None
    archived: Flag = False
    limit: Rows = 50
    cursor: str | None = None


class RowsQuery(Given):
    """How many rows are listed."""

    limit: Rows = 50


class StatsQuery(Given):
    """How far back the counts go."""

    minutes: Annotated[int, Field(ge=1, le=MOST_MINUTES), BeforeValidator(whole)] = MINUTES
    hours: Annotated[int, Field(ge=1, le=MOST_HOURS), BeforeValidator(whole)] = HOURS


class HooksQuery(RowsQuery):
    """Whose deliveries are listed: those of a run, else all that were given up."""

    run: RunId | None = None


class EventsQuery(Given):
    """Where a reader of events begins."""

    after: str | None = None


class OutputQuery(EventsQuery):
    """And which items it reads: of these topics, those that are committed."""

    topic: list[Annotated[str, Field(pattern="^[^|]{1,100}$")]] = Field(default_factory=list)
    committed: Flag = False


class DeleteQuery(Given):
    """Whether a run that has not ended is cancelled first."""

    force: Flag = False


class SingletonKey(Given):
    """A key of which at most one run lives at a time."""

    key: Annotated[str, Field(min_length=1, max_length=1024)]
    when_taken: Literal["same", "refuse", "replace"] = "same"


class DebounceKey(Given):
    """A key whose submits are one run, which begins *wait* seconds after the last of them."""

    key: Annotated[str, Field(min_length=1, max_length=1024)]
    wait: Span
    max_wait: Span | None = None


class Submit(Given):
    """A run to submit; the fields are the options of `stepflow submit`."""

    runner: Annotated[str, Field(pattern=NAME)]
    payload: Any = None
    id: RunId | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    queue: Annotated[str, Field(pattern=QUEUE)] = "default"
    priority: Level = "normal"
    lane: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    limits: dict[str, str] = Field(default_factory=dict)
    units: dict[str, Annotated[int, Field(ge=1, le=10**9), BeforeValidator(integer)]] = Field(
        default_factory=dict
    )
    singleton: SingletonKey | None = None
    debounce: DebounceKey | None = None
    delay: Span | None = None
    start_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    timeout: Annotated[float, Field(gt=0, le=_YEAR_S, allow_inf_nan=False)] | None = None
    on_timeout: Literal["undo", "end"] = "undo"
    webhooks: list[Annotated[str, Field(json_schema_extra={"format": "uri"})]] = Field(
        default_factory=list
    )
    version: Version | None = None
    restart: bool = False


class WithReason(Given):
    """Why it is done."""

    reason: Reason = ""


class Fork(Given):
    """Where a fork begins, and what is other in it; without `set` it has the same input."""

    at: Annotated[str, Field(min_length=1, max_length=500)]
    id: RunId | None = None
    version: Version | None = None
    set: Any = None


class Start(Given):
    """The run that a signal starts if there is none; its id is that of the path."""

    runner: Annotated[str, Field(pattern=NAME)]
    payload: Any = None
    headers: dict[str, str] = Field(default_factory=dict)
    tags: dict[str, str] = Field(default_factory=dict)
    queue: Annotated[str, Field(pattern=QUEUE)] = "default"
    priority: Level = "normal"
    lane: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    timeout: Annotated[float, Field(gt=0, le=_YEAR_S, allow_inf_nan=False)] | None = None
    on_timeout: Literal["undo", "end"] = "undo"
    version: Version | None = None
    restart: bool = False


class Signal(Given):
    """A signal to a run; `latest` takes the place of those of its name that are not taken."""

    name: Annotated[str, Field(pattern=SIGNAL)]
    payload: Any = None
    keep: Literal["all", "latest"] = "all"
    start: Start | None = None
    dedup: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class Answer(Given):
    """An answer to a question."""

    value: Any


BulkVerb = Literal["cancel", "retry", "delete", "resume", "pause", "signal"]


class PreviewQuery(Given):
    """A verb, and the conditions of the runs that it would be done to."""

    verb: BulkVerb
    where: Where


class Bulk(Given):
    """A verb for all runs that fit some conditions."""

    verb: BulkVerb
    where: Where
    rate: Annotated[float, Field(gt=0, le=MOST_RATE, allow_inf_nan=False)] = RATE
    expect: Annotated[int, Field(ge=0, le=2**53), BeforeValidator(integer)] | None = None
    reason: Reason = ""
    signal: Annotated[str, Field(pattern=SIGNAL)] | None = None
    payload: Any = None


@dataclass(frozen=True, slots=True)
class ShownRun(RunStatus):
    """A run, and why it stands where it stands."""

    why: Why | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    """
    Runs, newest first; `cursor` goes on where they end, null at the end of all.

    `scanned` runs were looked at for them: what has no index is looked for among 5,000 a page.
    """

    runs: Sequence[RunStatus]
    cursor: str | None
    scanned: int


@dataclass(frozen=True, slots=True)
class RunSteps:
    """The steps of a run in the order in which they began."""

    id: str
    is_workflow: bool
    restarts: int
    steps: Sequence[StepStatus]


@dataclass(frozen=True, slots=True)
class Activation:
    """
    One time that a worker had the run of a workflow.

    *number* counts activations, *attempt* the tries of one; *outcome* says how it ended: `park` to
    wait, `raised`, `lost` with its worker, and so on.
    """

    number: int
    attempt: int
    outcome: str
    worker: str | None
    started_at: datetime | None
    ended_at: datetime | None
    error: ErrorInfo | None


@dataclass(frozen=True, slots=True)
class RunTimeline:
    """
    What the timeline of a run is drawn from.

    *steps* are in the order in which they began. *activations* are those of a workflow; the steps
    of a runner are its attempts. *child_ends* says when children ended, by their ids; the steps say
    when the run took that in.
    """

    id: str
    state: RunState
    is_workflow: bool
    restarts: int
    created_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    steps: Sequence[StepStatus]
    activations: Sequence[Activation]
    child_ends: Mapping[str, datetime | None]


@dataclass(frozen=True, slots=True)
class Created:
    """A run that was submitted, or was there already."""

    id: str
    created: bool


@dataclass(frozen=True, slots=True)
class Deleted:
    """A run that was deleted."""

    id: str
    deleted: bool


@dataclass(frozen=True, slots=True)
class Signalled:
    """What became of a signal: `delivered`, `buffered`, or `started` its run."""

    id: str
    signal: str
    answer: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that was answered."""

    token: str
    answered: bool


@dataclass(frozen=True, slots=True)
class Redelivered:
    """A delivery that was queued again."""

    id: str
    state: str


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """Whether a queue was paused, or resumed, by this request."""

    queue: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Health:
    """That it is well."""

    status: Literal["ok"]
