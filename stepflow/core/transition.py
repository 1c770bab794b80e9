"""
A transition: what becomes of a run, as a value.

When which one is made stands in `core/transitions.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stepflow.core.outcomes import ErrorInfo, Park
from stepflow.core.run import Cleanup, Run, RunState, StopRequest


class TransitionKind(StrEnum):
    """What the store has to do for a transition."""

    ADVANCE = "advance"
    HAND_OVER = "retry"
    PARK = "park"
    PAUSE = "pause"
    FINISH = "finish"
    MARK = "mark"
    RETRY = "revive"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Transition:
    """What becomes of a run. Made by the named constructors only; *why* is for the log."""

    kind: TransitionKind
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
    stop: StopRequest | None = None
    why: str = ""
    #: how much of the inbox the step has seen, for a park that anything new ends
    inbox: int | None = None
    #: what the signals that a parked run waits for must look like, packed
    expects: bytes = b""
    #: how often the run was restarted, when this does so: its history is replaced
    restarts: int = 0
    #: what the run has left to do, when that becomes known
    cleanup: Cleanup = Cleanup.NONE
    #: the compensations that failed
    errors: Sequence[ErrorInfo] = ()

    @classmethod
    def advance(cls, step: int, payload: Any, *, due_at: float | None) -> Transition:
        """Close the present step and go on with *step*."""
        return cls(TransitionKind.ADVANCE, _waiting(due_at), step, due_at=due_at, payload=payload)

    @classmethod
    def restart(cls, step: int, payload: Any, *, count: int) -> Transition:
        """Close the present step and begin a new history with *step*, for the *count*-th time."""
        return cls(TransitionKind.ADVANCE, RunState.PENDING, step, payload=payload, restarts=count)

    @classmethod
    def hand_over(
        cls, run: Run, *, failures: int, crashes: int, due_at: float | None, why: str
    ) -> Transition:
        """Hand the present step over again."""
        return cls(
            TransitionKind.HAND_OVER,
            _waiting(due_at),
            run.step,
            failures,
            crashes,
            due_at=due_at,
            why=why,
        )

    @classmethod
    def yield_slot(cls, run: Run, *, needs_cleanup: bool) -> Transition:
        """Put the run at the end of its queue, where it stands."""
        cleanup = max(run.cleanup, Cleanup(needs_cleanup))
        return cls(
            TransitionKind.HAND_OVER,
            RunState.PENDING,
            run.step,
            run.failures,
            run.crashes,
            why="made room",
            cleanup=cleanup,
        )

    @classmethod
    def park(cls, run: Run, park: Park) -> Transition:
        """Close the present step and let the run stand until its time, or its inbox, wakes it."""
        cleanup = max(run.cleanup, Cleanup(park.needs_cleanup))
        return cls(
            TransitionKind.PARK,
            RunState.WAITING,
            run.step + 1,
            due_at=park.due_at,
            inbox=park.inbox,
            why=park.waits_for,
            cleanup=cleanup,
            expects=park.expects,
        )

    @classmethod
    def pause(cls, run: Run, why: str) -> Transition:
        """Let the run stand until somebody resumes it."""
        return cls(
            TransitionKind.PAUSE,
            RunState.PAUSED,
            run.step,
            run.failures,
            run.crashes,
            reason=why,
            why=why,
        )

    @classmethod
    def resume(cls, run: Run) -> Transition:
        """Hand over a paused run's step again, attempts fresh."""
        return cls(TransitionKind.HAND_OVER, RunState.PENDING, run.step, why="resumed")

    @classmethod
    def clean_up(cls, run: Run, stop: StopRequest | None, why: str) -> Transition:
        """
        Hand the run over once more, to say its last word.

        *stop* is written unless it is already.
        """
        # a park may be the first to know of a last word: the record must, too, or the next lost
        # worker ends the run
        cleanup = max(run.cleanup, Cleanup.NEEDED)
        return cls(
            TransitionKind.HAND_OVER,
            RunState.PENDING,
            run.step,
            run.failures,
            run.crashes,
            stop=stop,
            why=why,
            cleanup=cleanup,
        )

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
            TransitionKind.FINISH, state, run.step, run.failures, run.crashes, result=result,
            error=error, reason=reason, why=why, errors=errors,
        )  # fmt: skip

    @classmethod
    def mark(cls, run: Run, stop: StopRequest) -> Transition:
        """Leave the run with its worker, which is told to stop."""
        return cls(TransitionKind.MARK, run.state, run.step, run.failures, run.crashes, stop=stop)

    @classmethod
    def retry(cls, run: Run) -> Transition:
        """Take a failed run up again at its last step, attempts fresh."""
        return cls(TransitionKind.RETRY, RunState.PENDING, run.step)

    @classmethod
    def drop(cls, run: Run, why: str) -> Transition:
        """Change nothing."""
        return cls(TransitionKind.DROP, run.state, run.step, run.failures, run.crashes, why=why)


def _waiting(due_at: float | None) -> RunState:
    return RunState.PENDING if due_at is None else RunState.SCHEDULED
