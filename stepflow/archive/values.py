"""What the archive keeps and gives: ended runs, their steps, pages of them, snapshots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepflow.core.outcomes import ErrorInfo


def _nothing() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class ArchivedRun:
    """
    One end of a run, as the archive has it. Values are what JSON can carry; times are in UTC.

    *end* counts the ends of a *generation* from 1: a run that is retried ends again. *number* is
    that of the row, 0 for one that is not written yet.
    """

    id: str
    runner: str
    state: str
    created_at: datetime
    ended_at: datetime
    started_at: datetime | None = None
    version: int = 1
    generation: int = 0
    end: int = 1
    queue: str = "default"
    step: int = 0
    attempts: int = 1
    headers: Mapping[str, str] = field(default_factory=_nothing)
    tags: Mapping[str, str] = field(default_factory=_nothing)
    payload: Any = None
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None
    #: the run that began this one, the run that it was forked from, its group and its schedule
    parent: str | None = None
    origin: str | None = None
    group: str | None = None
    schedule: str | None = None
    #: whether steps and journal are archived as well: not of a run that was gone by then
    is_whole: bool = True
    number: int = 0

    @property
    def took_s(self) -> float:
        """Seconds from its start, or from its submit where it never began, to its end."""
        return (self.ended_at - (self.started_at or self.created_at)).total_seconds()


@dataclass(frozen=True, slots=True)
class ArchivedStep:
    """A step of an archived run: a `ctx` call of a workflow, or an attempt of a runner's step."""

    kind: str
    name: str
    state: str
    attempt: int = 1
    started_at: datetime | None = None
    ended_at: datetime | None = None
    took_s: float | None = None
    worker: str | None = None
    error: str | None = None
    value: Any = None


@dataclass(frozen=True, slots=True)
class End:
    """What one end of a run writes: the run, its steps, and all that Redis kept of it."""

    run: ArchivedRun
    steps: Sequence[ArchivedStep] = ()
    #: the document that `stepflow export` writes; empty where nothing was left
    document: Mapping[str, Any] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class ArchivedPage:
    """A page of archived runs, newest first; *cursor* is None on the last one."""

    runs: Sequence[ArchivedRun]
    cursor: str | None = None
    #: rows that cannot be read, by run id, or by their number where that cannot be read either
    unreadable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run as it stood at a moment; `restore` goes on from there."""

    number: int
    run_id: str
    generation: int
    state: str
    step: int
    taken_at: datetime
    #: who or what took it
    why: str = ""

    def __str__(self) -> str:
        name = f"snapshot {self.number}" if self.number else self.why
        return f"{name} of {self.run_id}.{self.generation} at {self.taken_at:%Y-%m-%dT%H:%M:%S.%fZ}"


@dataclass(frozen=True, slots=True)
class ArchiveHealth:
    """
    An archive that answers: where it is, the version of its tables, how many ends it holds.

    *known* is the version of the tables that this stepflow knows.
    """

    url: str
    schema: int
    known: int
    runs: int


@dataclass(frozen=True, slots=True)
class Pruned:
    """What retention took away, or with a dry run would take away."""

    runs: int
    states: Mapping[str, int]
    oldest: datetime | None = None
    newest: datetime | None = None
    is_dry: bool = False
