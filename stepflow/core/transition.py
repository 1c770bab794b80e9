"""A transition: what becomes of a run, as a value. When which one is made stands in `core/transitions.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stepflow.core.outcomes import ErrorInfo, Park
from stepflow.core.run import Rest, Run, RunState, Stop


class Kind(StrEnum):
    """What the store has to do for a transition."""

    ADVANCE = "advance"
    RETRY = "retry"
    PARK = "park"
    PAUSE = "pause"
    FINISH = "finish"
    MARK = "mark"
    REVIVE = "revive"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a run. Made by the named constructors only; *why* is for the log."""

    kind: Kind
    state: RunState
    step: int = 0
    failures: int = 0
    crashes: int = 0
    #: unix seconds; None means now
    due_at: float | None = None
    payload: Any = None
    result: Any = None
    error: ErrorInfo | None = None
    reason: str | None = None
    stop: Stop | None = None
    why: str = ""
    #: how much of the inbox the step has seen, for a park that anything new ends
    inbox: int | None = None
    #: what the signals that a parked run waits for must look like, packed
    expects: bytes = b""
    #: how often the run was restarted, when this does so: its history is replaced
    restarts: int = 0
    #: what the run has left to do, when that becomes known
    rest: Rest = Rest.NONE
    #: the compensations that failed
    errors: Sequence[ErrorInfo] = ()

    @classmethod
    def advance(cls, step: int, payload: Any, *, due_at: float | None) -> Transition:
        """Close the present step and go on with *step*."""
        return cls(Kind.ADVANCE, _waiting(due_at), step, due_at=due_at, payload=payload)

    @classmethod
    def restart(cls, step: int, payload: Any, *, count: int) -> Transition:
        """Close the present step and begin a new history with *step*, for the *count*-th time."""
        return cls(Kind.ADVANCE, RunState.PENDING, step, payload=payload, restarts=count)

    @classmethod
    def retry(cls, run: Run, *, failures: int, crashes: int, due_at: float | None, why: str) -> Transition:
        """Hand the present step over again."""
        return cls(Kind.RETRY, _waiting(due_at), run.step, failures, crashes, due_at=due_at, why=why)

    @classmethod
    def make_room(cls, run: Run, *, wants_last_word: bool) -> Transition:
        """Put the run at the end of its queue, where it stands."""
        rest = max(run.rest, Rest(wants_last_word))
        return cls(Kind.RETRY, RunState.PENDING, run.step, run.failures, run.crashes, why="made room", rest=rest)

    @classmethod
    def park(cls, run: Run, park: Park) -> Transition:
        """Close the present step and let the run stand until its time, or its inbox, wakes it."""
        rest = max(run.rest, Rest(park.wants_last_word))
        return cls(
            Kind.PARK,
            RunState.WAITING,
            run.step + 1,
            due_at=park.due_at,
            inbox=park.inbox,
            why=park.waits_for,
            rest=rest,
            expects=park.expects,
        )

    @classmethod
    def pause(cls, run: Run, why: str) -> Transition:
        """Let the run stand until somebody resumes it."""
        return cls(Kind.PAUSE, RunState.PAUSED, run.step, run.failures, run.crashes, reason=why, why=why)

    @classmethod
    def resume(cls, run: Run) -> Transition:
        """Hand over a paused run's step again, attempts fresh."""
        return cls(Kind.RETRY, RunState.PENDING, run.step, why="resumed")

    @classmethod
    def last_word(cls, run: Run, stop: Stop | None, why: str) -> Transition:
        """Hand the run over once more, to say its last word; *stop* is written unless it is already."""
        # a park may be the first to know of a last word: the record must, too, or the next lost worker ends the run
        rest = max(run.rest, Rest.WANTED)
        return cls(Kind.RETRY, RunState.PENDING, run.step, run.failures, run.crashes, stop=stop, why=why, rest=rest)

    @classmethod
    def finish(
        cls,
        run: Run,
        state: RunState,
        *,
        result: Any = None,
        error: ErrorInfo | None = None,
        reason: str | None = None,
        why: str = "",
        errors: Sequence[ErrorInfo] = (),
    ) -> Transition:
        """End the run."""
        return cls(
            Kind.FINISH, state, run.step, run.failures, run.crashes, result=result, error=error, reason=reason, why=why,
            errors=errors,
        )  # fmt: skip

    @classmethod
    def mark(cls, run: Run, stop: Stop) -> Transition:
        """Leave the run with its worker, which is told to stop."""
        return cls(Kind.MARK, run.state, run.step, run.failures, run.crashes, stop=stop)

    @classmethod
    def revive(cls, run: Run) -> Transition:
        """Take a failed run up again at its last step, attempts fresh."""
        return cls(Kind.REVIVE, RunState.PENDING, run.step)

    @classmethod
    def drop(cls, run: Run, why: str) -> Transition:
        """Change nothing."""
        return cls(Kind.DROP, run.state, run.step, run.failures, run.crashes, why=why)


def _waiting(due_at: float | None) -> RunState:
    return RunState.PENDING if due_at is None else RunState.SCHEDULED
