"""What observers are told: a run at one moment, a step of it, or a call that a step makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stepflow.core.outcomes import ErrorInfo
from stepflow.core.run import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedRun:
    """
    A run at the moment that an observer is told of.

    *at* and *until* are aware datetimes. *worker* is empty where a client did it. *payload* is set
    when the run was submitted; *waits_for* and *until* when it waits; *state*, *result*, *error*
    and *reason* when it ends. *step* counts from 0: for a workflow, its activations.
    """

    at: datetime
    run_id: str
    runner: str
    worker: str = ""
    step: int = 0
    payload: Any = None
    waits_for: str = ""
    until: datetime | None = None
    state: RunState | None = None
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedStep:
    """
    A step at the moment that an observer is told of: a `ctx.step`, or a step of a runner or job.

    *place* is where it stands in its workflow, for a runner the step's number. *args* and *kwargs*
    are what its function is called with, *value* is what it returned: the objects themselves, so do
    not change them. *took_s* is the time of the attempt in seconds, None where that is not known.
    *next_at* is when a failed attempt is followed by another. *from_memory* says that a replay was
    given the remembered answer.
    """

    at: datetime
    run_id: str
    runner: str
    worker: str
    name: str
    place: str
    attempt: int = 1
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    value: Any = None
    error: ErrorInfo | None = None
    next_at: datetime | None = None
    took_s: float | None = None
    from_memory: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCall:
    """
    Something that a step has done by the way: called a model or a tool, opened a circuit.

    *name* is that of the model, the tool or the breaker; *run_id* and *runner* are empty outside of
    a run. What *details* has depends on what it is.
    """

    at: datetime
    name: str
    run_id: str = ""
    runner: str = ""
    worker: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
