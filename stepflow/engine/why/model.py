"""Why a run stands where it stands, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class WhyWord(StrEnum):
    """What a run is doing, or why it does not move, in one word."""

    GONE = "gone"
    ENDED = "ended"
    RUNNING = "running"
    STOPPING = "stopping"
    QUEUED = "queued"
    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    WAITING = "waiting"
    PAUSED = "paused"
    #: something that it shares with others does not let it go on
    HELD = "held"
    #: no worker will ever move it: `stepflow doctor --repair` does
    BROKEN = "broken"


#: every code there is, with what it means; docs/why.md lists them
CODES: Mapping[str, str] = {
    "gone.never": "no run has this id",
    "gone.expired": "its record has expired",
    "ended.succeeded": "it has succeeded",
    "ended.failed": "it has failed",
    "ended.cancelled": "it was cancelled",
    "ended.telling": "it has ended, and a hook of it is to be delivered, or its end to be archived",
    "ended.untold": "it has ended, and a hook of it was given up",
    "ended.children": "it has ended, and its children are still being stopped",
    "running.step": "a worker is at its step",
    "running.long": "a worker has been at its step for longer than an hour",
    "running.silent": "its worker has not been heard of for some seconds",
    "running.lapsed": "its worker is gone; another live worker hands it over",
    "running.nobody": "its worker is gone, and there is none to hand it over",
    "running.unwritable": "Redis refuses writes, so its worker cannot commit",
    "running.foreign": "a stock RQ worker has it",
    "stopping.told": "its worker was told to stop it",
    "stopping.cleanup": "it undoes what it has done before it ends",
    "stopping.children": "it waits for its children to end before it ends",
    "queued.next": "the next worker with a free slot takes it at once",
    "queued.busy": "all slots are taken",
    "queued.behind": "others of a higher priority, or of queues served first, go before it",
    "queued.lane": "tenants take turns, and others of its lane go before it",
    "queued.unhealthy": "a resource of all its workers is unhealthy",
    "queued.no_worker": "no live worker works its queue, or code blocks those that do",
    "queued.unwritable": "Redis refuses writes, so no worker can take it",
    "queued.suspended": "somebody has suspended RQ",
    "queued.paused": "somebody has paused its queue",
    "queued.again": "a further attempt stands in the queue",
    "held.slot": "all slots of one of its limits are taken",
    "held.rate": "as many as one of its limits allows have begun, or the limit rests",
    "lost.soon": "its queue entry is gone and will be replaced",
    "blocked.runner": "no live worker knows its runner",
    "blocked.version": "no live worker has its runner in its version",
    "blocked.queue": "workers that know its runner do not work its queue",
    "blocked.code": "the code of the workers that tried it does not fit; others are to try it",
    "blocked.coming": "a worker that knows its runner has just come",
    "scheduled.delay": "it is not due yet",
    "scheduled.retry": "the next attempt is not due yet",
    "scheduled.crash": "it was lost with its worker, and the next attempt is not due yet",
    "scheduled.late": "it is due, and no live worker moves what is due",
    "waiting.time": "it sleeps",
    "waiting.signal": "it waits for a signal",
    "waiting.ask": "it waits for somebody to answer",
    "waiting.child": "it waits for a child",
    "waiting.map": "it waits for the children of a map",
    "waiting.turn": "it waits for its turn in the map of its parent",
    "waiting.value": "it waits for a value that another run computes",
    "waiting.retry": "it waits for the next attempt of one of its steps",
    "waiting.any": "it waits for the first of several",
    "held.breaker": "a circuit breaker lets none of its calls through",
    "held.budget": "a budget has no room for what its step may cost",
    "paused.code": "its code or its data no longer fit; somebody has to resume it",
    "paused.person": "somebody paused it; somebody has to resume it",
    "X1": "it counts as running, and no claim of it is kept",
    "X2": "it counts as queued, and stands in no queue",
    "X3": "no live worker knows its runner, and it stands in no waiting list",
    "X4": "it is due at a time, and stands in no list of what is due",
    "X5": "what it waits for has come, and nobody has told it",
    "X6": "it waits for a child whose record is gone",
    "X7": "its turn in a map never comes",
    "X8": "it lives, and is not on the list of live runs",
    "X9": "its time limit is not kept",
    "X10": "a hook of it stands in no queue",
    "X20": "its lane takes no turns",
}


@dataclass(frozen=True, slots=True)
class Why:
    """
    Why a run is where it is.

    *code* is for programs: one of `CODES`, which never change their meaning. *sentence* is for
    people, without the run's id. *since* and *until* are aware datetimes, None where they are not
    known. *moved_by* says what makes it continue; *commands* are what you can type for that.
    *evidence* has the facts behind it. *child* explains the child that it waits for.
    """

    run_id: str
    word: WhyWord
    code: str
    sentence: str
    since: datetime | None = None
    until: datetime | None = None
    moved_by: str = ""
    commands: Sequence[str] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)
    child: Why | None = None

    def __str__(self) -> str:
        return f"{self.sentence}: {self.commands[0]}" if self.commands else self.sentence
