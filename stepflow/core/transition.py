"""
A transition: what becomes of a run, as a value.

`core/transitions.py` decides which one to make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from stepflow.core.outcomes import ErrorInfo, Park, Rest, Resting
from stepflow.core.run import Cleanup, Parked, PauseRequest, Run, RunState, Standing, StopRequest


class TransitionKind(StrEnum):
    """What the store has to do for a transition."""

    ADVANCE = "advance"
    HAND_OVER = "hand_over"
    HAND_ON = "hand_on"
    PARK = "park"
    PAUSE = "pause"
    FINISH = "finish"
    MARK = "mark"
    RETRY = "retry"
    DROP = "drop"


@dataclass(slots=True)
class Transition:
    """
    What becomes of a run; *why* is for the log.

    Make one with the named constructors only: they keep out combinations that make no sense. Nobody
    changes one; it is not frozen because every step makes one, and frozen fields are slow to set.
    """

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
    #: how many arrivals in its inbox the step has seen: a park ends when there are more
    inbox: int | None = None
    #: the JSON schemas of the signals that a parked run waits for, packed
    expects: bytes = b""
    #: the commands that a parked run waits for, packed
    commands: bytes = b""
    #: for a restart: how often the run has been restarted, this time included
    restarts: int = 0
    #: whether the run needs a cleanup before a stop may end it
    cleanup: Cleanup = Cleanup.NONE
    #: the compensations that failed
    errors: Sequence[ErrorInfo] = ()
    #: the build whose workers are to try the run next, and whose code was tried, packed
    build: str = ""
    tried: bytes = b""
    #: what a step that was postponed waits for
    waits_for: str = ""
    #: somebody's request to pause: the run stands after this instead of going on
    paused: PauseRequest | None = None
    #: the limit that is to rest
    rests: Resting | None = None

    def then_pause(self, pause: PauseRequest) -> Transition:
        """
        Have the run stand after this transition until it is resumed.

        It keeps what it was to wait for: its due time, its inbox.
        """
        parked = ""
        if self.kind is TransitionKind.PARK:
            parked = Parked.DUE if self.inbox is None else Parked.INBOX
        stood = Standing(self.state, parked, self.due_at or 0.0, self.inbox or 0)
        return replace(
            self, state=RunState.PAUSED, due_at=None, paused=replace(pause, stood=stood),
            why=f"paused by {pause.by or 'somebody'}",
        )  # fmt: skip

    @classmethod
    def advance(cls, step: int, payload: Any, *, due_at: float | None) -> Transition:
        """Close the present step and go on with *step*, at *due_at* or now."""
        return cls(TransitionKind.ADVANCE, _waiting(due_at), step, due_at=due_at, payload=payload)

    @classmethod
    def continue_as_new(cls, step: int, payload: Any, *, count: int) -> Transition:
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
    def rest(cls, run: Run, rest: Rest, now: float) -> Transition:
        """
        Hand the present step over again once a limit has rested; no attempt counts.

        A run that has the limit waits in its line, first; another one for its due time.
        """
        from stepflow.core.limits.use import read_uses  # noqa: PLC0415  few need it

        until = now + rest.for_s
        has_it = any(
            use.name == rest.limit and rest.key in (None, use.key) for use in read_uses(run.limits)
        )
        due_at = None if has_it or not rest.for_s else until
        return cls(
            TransitionKind.HAND_OVER, _waiting(due_at), run.step, run.failures, run.crashes,
            due_at=due_at, rests=Resting(rest.limit, rest.key, until),
            why=f"the limit rests for {rest.for_s:.3g} s",
        )  # fmt: skip

    @classmethod
    def postpone(cls, run: Run, due_at: float, waits_for: str) -> Transition:
        """Hand the present step over again for later; nothing of it counts."""
        return cls(
            TransitionKind.HAND_OVER, RunState.SCHEDULED, run.step, run.failures, run.crashes,
            due_at=due_at, why=f"waits for {waits_for}", waits_for=waits_for,
        )  # fmt: skip

    @classmethod
    def hand_on(cls, run: Run, build: str, tried: bytes) -> Transition:
        """Hand the present step to the workers of another build; nothing of it counts."""
        return cls(
            TransitionKind.HAND_ON,
            RunState.PENDING,
            run.step,
            run.failures,
            run.crashes,
            why="handed on to workers with other code",
            build=build,
            tried=tried,
        )

    @classmethod
    def yield_slot(cls, run: Run, *, needs_cleanup: bool) -> Transition:
        """Put the run at the end of its queue, in the middle of its present step."""
        cleanup = max(run.cleanup, Cleanup(needs_cleanup))
        return cls(
            TransitionKind.HAND_OVER,
            RunState.PENDING,
            run.step,
            run.failures,
            run.crashes,
            why="yielded its slot",
            cleanup=cleanup,
        )

    @classmethod
    def park(cls, run: Run, park: Park) -> Transition:
        """Close the present step; the run waits until a time, or an arrival in its inbox."""
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
            commands=park.commands,
        )

    @classmethod
    def pause(cls, run: Run, why: str) -> Transition:
        """Stop working on the run until somebody resumes it."""
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
        """Hand a paused run's step over again and count its attempts from 1."""
        return cls(TransitionKind.HAND_OVER, RunState.PENDING, run.step, why="resumed")

    @classmethod
    def stand(cls, run: Run, pause: PauseRequest) -> Transition:
        """Take a run that no worker has claimed out of where it waits, and have it stand."""
        stood = Standing(run.state, run.parked, run.due_at, run.inbox)
        return cls(
            TransitionKind.HAND_OVER, RunState.PAUSED, run.step, run.failures, run.crashes,
            paused=replace(pause, stood=stood), why="paused",
        )  # fmt: skip

    @classmethod
    def go_back(cls, run: Run, stood: Standing, now: float) -> Transition:
        """Put a paused run back to where it stood, or into its queue if that wait is over."""
        is_due = 0 < stood.due_at <= now
        if (
            stood.parked
            and not is_due
            and not (stood.parked == Parked.INBOX and run.inbox > stood.inbox)
        ):
            return cls(
                TransitionKind.PARK, RunState.WAITING, run.step, due_at=stood.due_at or None,
                inbox=stood.inbox if stood.parked == Parked.INBOX else None, why=run.waits_for,
            )  # fmt: skip
        due_at = stood.due_at if stood.due_at and not is_due and not stood.parked else None
        return cls(
            TransitionKind.HAND_OVER, _waiting(due_at), run.step, run.failures, run.crashes,
            due_at=due_at, why="resumed",
        )  # fmt: skip

    @classmethod
    def clean_up(cls, run: Run, stop: StopRequest | None, why: str) -> Transition:
        """
        Hand the run over once more, so that it can clean up before it ends.

        *stop* is the request to write into the record, None when it holds one already.
        """
        # a Park may be the first to report that a cleanup is needed; the record must say so, too,
        # or the next lost worker ends the run without it
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
        """Leave the run with its worker, and tell the worker to stop it."""
        return cls(TransitionKind.MARK, run.state, run.step, run.failures, run.crashes, stop=stop)

    @classmethod
    def mark_pause(cls, run: Run, pause: PauseRequest | None) -> Transition:
        """Leave the run with its worker, which is to have it stand after its step; None: not."""
        return cls(
            TransitionKind.MARK, run.state, run.step, run.failures, run.crashes, paused=pause
        )

    @classmethod
    def retry(cls, run: Run) -> Transition:
        """Hand a failed run's last step over again and count its attempts from 1."""
        return cls(TransitionKind.RETRY, RunState.PENDING, run.step)

    @classmethod
    def drop(cls, run: Run, why: str) -> Transition:
        """Change nothing: somebody else has settled the matter."""
        return cls(TransitionKind.DROP, run.state, run.step, run.failures, run.crashes, why=why)


def _waiting(due_at: float | None) -> RunState:
    return RunState.PENDING if due_at is None else RunState.SCHEDULED
