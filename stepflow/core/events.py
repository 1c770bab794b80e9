"""
What happens to a run: each fact by one name, with what it tells.

    name             what happened                                     details
    --------------   -----------------------------------------------   ---------------------------
    submitted        somebody submitted the run                        queue, generation, version
    started          a worker claimed it for the first time            -
    step.closed      a step of a runner is committed                   step, attempt, outcome,
                                                                       took_s, worker
    attempt.failed   an attempt raised                                 step, attempt, error,
                                                                       next_at, worker
    attempt.lost     an attempt was lost with its worker               step, attempt, worker
    handed_back      a leaving worker gave the step back               step, attempt, worker
    step.done        a `ctx.step` has its value                        step, place, took_s
    step.failed      a `ctx.step` has failed for good                  step, place, error
    waiting          it waits for a time, a signal or an answer        what, name, place, until
    slept            a sleep or a timer of its code is over            place
    signal.taken     it took a signal                                  name, place
    answered         somebody answered its question                    place
    timed_out        the time for a signal or an answer has passed     what, place
    child.begun      it has begun a child                              child, workflow
    child.ended      it has taken in how a child ended                 child, status
    map.begun        it has begun a map                                workflow, total
    map.settled      a map is settled                                  place
    batch.progress   more items of a batch have their answers          step, place, total, done,
                                                                       failed
    patched          it takes the new way at `ctx.patched`             name
    forgotten        `ctx.forget` has dropped what a key had           key
    stop.asked       it was asked to stop                              kind, reason, by
    undo.begun       from here on what was done is undone              -
    restarted        it continued as new; its old history is gone      count
    paused           its code does not fit, or somebody paused it      step, worker
    retried          somebody had it go on after its end               end
    ended            it has ended                                      state, end
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class EventType(StrEnum):
    """The types of events; docs/how-to/events.md lists their details."""

    SUBMITTED = "submitted"
    STARTED = "started"
    STEP_CLOSED = "step.closed"
    ATTEMPT_FAILED = "attempt.failed"
    ATTEMPT_LOST = "attempt.lost"
    HANDED_BACK = "handed_back"
    STEP_DONE = "step.done"
    STEP_FAILED = "step.failed"
    WAITING = "waiting"
    SLEPT = "slept"
    SIGNAL_TAKEN = "signal.taken"
    ANSWERED = "answered"
    TIMED_OUT = "timed_out"
    CHILD_BEGUN = "child.begun"
    CHILD_ENDED = "child.ended"
    MAP_BEGUN = "map.begun"
    MAP_SETTLED = "map.settled"
    BATCH_PROGRESS = "batch.progress"
    PATCHED = "patched"
    FORGOTTEN = "forgotten"
    STOP_ASKED = "stop.asked"
    UNDO_BEGUN = "undo.begun"
    RESTARTED = "restarted"
    PAUSED = "paused"
    RETRIED = "retried"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Event:
    """
    One thing that happened to a run.

    Pass *id* as `after` to continue after it; it is empty for listeners in a worker. *at* is an
    aware datetime, None where it is not known. *details* are plain JSON values.
    """

    id: str
    type: EventType
    run: str
    runner: str
    at: datetime | None
    details: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values, times in ISO 8601."""
        return {
            "id": self.id,
            "event": str(self.type),
            "run": self.run,
            "runner": self.runner,
            "at": None if self.at is None else self.at.isoformat(),
            **self.details,
        }
