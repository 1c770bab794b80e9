"""The facts of a run that stand below its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from stepflow.core.run import RunStatus
from stepflow.engine.timeline import Trace
from stepflow.web.pages.visit import Visit
from stepflow.web.pages.words import took


class Fact(NamedTuple):
    """A fact: *kind* says how it is shown, as text, a time, a run, or a queue."""

    label: str
    value: object
    kind: str = "text"


def facts_of(trace: Trace, visit: Visit) -> list[Fact]:
    """Give those facts that there are."""
    facts = (*_of_times(trace.run), *_of_place(trace, visit))
    return [fact for fact in facts if fact.value not in {None, "", 0}]


def _of_times(run: RunStatus) -> Iterator[Fact]:
    yield Fact("submitted", run.created_at, "time")
    yield Fact("started", run.started_at, "time")
    yield Fact("ended", run.ended_at, "time")
    yield Fact("took", took(run))
    if not run.is_finished:
        yield Fact("due", run.due_at, "time")
        yield Fact("time limit", run.deadline_at, "time")


def _of_place(trace: Trace, visit: Visit) -> Iterator[Fact]:
    run = trace.run
    is_usual = run.priority == "normal"
    yield Fact("queue", run.queue if is_usual else f"{run.queue} ({run.priority})")
    if not run.is_finished:
        yield Fact("worker", run.worker)
    yield Fact("activation" if trace.is_workflow else "step", run.step)
    yield Fact("attempt", run.attempt if run.attempt > 1 else None)
    yield Fact("crashes", run.crashes)
    yield Fact("continued as new", f"{trace.restarts} times" if trace.restarts else None)
    yield Fact("generation", run.generation)
    yield Fact("parent", run.parent, "run")
    yield Fact("group", run.group, "group")
    reason = None if run.error else run.reason
    yield Fact("reason", visit.shown("error", reason) if reason else None)
    yield Fact("unreadable", run.unreadable)
