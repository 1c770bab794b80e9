"""
The observers of one app in this process, and what they are told.

Each method here says one thing that has happened. None of them raises, and none waits. `tell` is
for what is not the runtime's own: a breaker that opens, a call of a model or a tool.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Protocol

from stepflow.core.journal import Entry, EntryKind, read_batch, read_try
from stepflow.core.outcomes import Continue, ErrorInfo, Outcome, Postpone, Raised, Succeed, Yield
from stepflow.core.run import Run, RunState
from stepflow.core.transition import Transition, TransitionKind
from stepflow.engine.observing.facts import ObservedCall, ObservedRun, ObservedStep
from stepflow.engine.observing.line import Line
from stepflow.engine.observing.observer import methods_of
from stepflow.engine.spec import RunSpec
from stepflow.engine.user_code.middleware import is_ours
from stepflow.logs import current
from stepflow.store.values.codec import unpack
from stepflow.times import as_datetime

log = logging.getLogger("stepflow.observer")

#: seconds that a worker, and a process that ends, wait for observers that have not been told all
LAST_WORDS_S, AT_EXIT_S = 2.0, 1.0

#: those of the step that the present code belongs to; None where the app has none
_current: ContextVar[Observers | None] = ContextVar("stepflow_observers", default=None)


_FINISH = TransitionKind.FINISH


class StepAsked(Protocol):
    """A command for a step, as observers are told of it."""

    place: str
    name: str
    began_at: float | None

    @property
    def attempt(self) -> int:
        """The number of its present attempt, from 1."""

    @property
    def function(self) -> Callable[..., Any]:
        """What is called."""

    @property
    def args(self) -> Sequence[Any]:
        """What it is called with."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """And by name."""


class Observers:
    """
    All observers of an app, told from any thread.

    A worker sets *worker*, its name, and *loop*, where the `async def` methods of observers belong
    that are told from threads.
    """

    def __init__(self) -> None:
        self._lines: list[Line] = []
        self._methods: dict[str, list[tuple[Line, Callable[[Any], Any]]]] = {}
        self.worker = ""
        self.loop: asyncio.AbstractEventLoop | None = None
        atexit.register(self._wait_at_exit)

    def add(self, observer: object) -> None:
        """Add an observer; raises InvalidOption for what is none."""
        names = methods_of(observer)
        line = Line(observer)
        self._lines.append(line)
        for name in names:
            self._methods.setdefault(name, []).append((line, getattr(observer, name)))

    def tell(self, method: str, fact: ObservedRun | ObservedStep | ObservedCall) -> None:
        """Have every observer that has *method* called with *fact*."""
        for line, function in self._methods.get(method, ()):
            line.put(function, fact, asyncio._get_running_loop() or self.loop)  # noqa: SLF001  raises nothing

    async def told(self) -> None:
        """Wait a moment for observers that have not been told all."""
        until = time.monotonic() + LAST_WORDS_S
        while not self._is_idle() and time.monotonic() < until:  # noqa: ASYNC110  threads are waited for
            await asyncio.sleep(0.01)

    def _is_idle(self) -> bool:
        return all(line.is_idle for line in self._lines)

    def _wait_at_exit(self) -> None:
        until = time.monotonic() + AT_EXIT_S
        while not self._is_idle() and time.monotonic() < until:
            time.sleep(0.01)

    # what clients and workers say of runs

    def submitted(self, runs: Iterable[tuple[RunSpec, str]], *, is_child: bool = False) -> None:
        """Say that these runs, each with its id, were submitted."""
        with _harmless():
            for spec, run_id in runs:
                fact = ObservedRun(
                    at=datetime.now(UTC), run_id=run_id, runner=spec.runner,
                    worker=self.worker if is_child else "",
                    payload=spec.payload,
                )  # fmt: skip
                self.tell("on_run_submitted", fact)

    def taken(self, run: Run, now: float) -> None:
        """Say that the worker has claimed a run, where that had begun before."""
        if run.step or run.handoff or run.has_journal:
            self._tell_run("on_resumed", run, now)

    def entered(self) -> None:
        """Note that the rest of the present task belongs to a step of this app."""
        _current.set(self)

    def committed(
        self,
        run: Run,
        payload: Any,
        outcome: Outcome,
        move: Transition,
        now: float,
        began_at: float,
        *,
        is_workflow: bool,
    ) -> None:
        """
        Say what became of a step of a runner, or of an activation, and of its run.

        *run* is as it was before; *began_at* is when the attempt began.
        """
        with _harmless():
            if not is_workflow or (isinstance(outcome, Raised) and move.kind is not _FINISH):
                self._tell_step_of_runner(run, payload, outcome, move, now, began_at)
            match move.kind:
                case TransitionKind.PARK:
                    self._tell_run(
                        "on_waiting", run, now, waits_for=move.why, until=_at(move.due_at)
                    )
                case TransitionKind.FINISH:
                    end = {
                        "state": move.state, "result": move.result, "error": move.error,
                        "reason": move.reason,
                    }  # fmt: skip
                    if move.state is RunState.CANCELLED:
                        self._tell_run("on_cancelled", run, now, **end)
                    self._tell_run("on_ended", run, now, **end)
                case TransitionKind.ADVANCE:
                    self._tell_run("on_checkpoint", run, now, step=move.step)
                case TransitionKind.HAND_OVER if isinstance(outcome, Postpone):
                    self._tell_run(
                        "on_waiting", run, now, waits_for=move.waits_for, until=_at(move.due_at)
                    )
                case TransitionKind.HAND_OVER if isinstance(outcome, Yield):
                    self._tell_run("on_checkpoint", run, now)

    def _tell_run(self, method: str, run: Run, now: float, **what: Any) -> None:
        fields = {"step": run.step} | what
        fact = ObservedRun(
            at=_sure(now), run_id=run.id, runner=run.runner, worker=self.worker, **fields
        )
        self.tell(method, fact)

    # steps of runners and jobs

    def runner_called(self, run: Run, payload: Any, now: float) -> None:
        """Say that an attempt of a step of a runner begins."""
        with _harmless():
            self.tell("on_step_started", self._step_of_runner(run, payload, now))

    def _tell_step_of_runner(
        self,
        run: Run,
        payload: Any,
        outcome: Outcome,
        move: Transition,
        now: float,
        began_at: float,
    ) -> None:
        took_s = now - began_at if began_at else None
        if isinstance(outcome, Raised):
            again = move.kind is TransitionKind.HAND_OVER
            fact = self._step_of_runner(
                run, payload, now, error=outcome.error, took_s=took_s,
                next_at=_at(move.due_at or now) if again else None,
            )  # fmt: skip
            self.tell("on_retry" if again else "on_step_failed", fact)
        elif isinstance(outcome, Continue | Succeed):
            value = outcome.payload if isinstance(outcome, Continue) else outcome.result
            fact = self._step_of_runner(run, payload, now, value=value, took_s=took_s)
            self.tell("on_step_done", fact)
        elif move.kind is TransitionKind.FINISH and move.error is not None:
            fact = self._step_of_runner(run, payload, now, error=move.error, took_s=took_s)
            self.tell("on_step_failed", fact)

    def _step_of_runner(self, run: Run, payload: Any, now: float, **what: Any) -> ObservedStep:
        return ObservedStep(
            at=_sure(now), run_id=run.id, runner=run.runner, worker=self.worker, name=run.runner,
            place=str(run.step), attempt=run.failures + 1, args=(payload,), **what,
        )  # fmt: skip

    # steps of workflows

    def step_began(self, run: Run, step: StepAsked, now: float) -> None:
        """Say that an attempt of a `ctx.step` begins."""
        with _harmless():
            if not is_ours(step.function):
                self.tell("on_step_started", self._step_of(run, step, now))

    def step_answered(self, run: Run, step: StepAsked, entry: Entry, *, is_live: bool) -> None:
        """Say what a journal entry means for a `ctx.step`: it was written just now, or replayed."""
        with _harmless():
            if is_ours(step.function):
                return
            took_s = None if entry.took_ms is None else entry.took_ms / 1000
            if entry.kind is EntryKind.TRY:
                due_at, brief = read_try(entry.data)
                if is_live and brief:
                    error = ErrorInfo.of_brief(brief)
                    fact = self._step_of(
                        run, step, entry.at, attempt=max(1, step.attempt - 1), error=error,
                        next_at=_at(due_at), took_s=took_s,
                    )  # fmt: skip
                    self.tell("on_retry", fact)
                return
            what: dict[str, Any] = {"took_s": took_s, "from_memory": not is_live}
            value = unpack(entry.data)
            if entry.kind is EntryKind.ERROR:
                what["error"] = ErrorInfo(*value[:3])
            else:
                what["value"] = value
            method = "on_step_failed" if entry.kind is EntryKind.ERROR else "on_step_done"
            self.tell(
                method if is_live else "on_replayed_step",
                self._step_of(run, step, entry.at, **what),
            )

    def items_answered(
        self, run: Run, name: str, items: Sequence[Any], entry: Entry, *, is_live: bool
    ) -> None:
        """Say which items of a batch have their answers by a journal entry."""
        with _harmless():
            _, packed = read_batch(entry.data)
            for index, is_value, answer in unpack(packed):
                what = {"value": answer} if is_value else {"error": ErrorInfo(*answer[:3])}
                fact = ObservedStep(
                    at=_sure(entry.at), run_id=run.id, runner=run.runner, worker=self.worker,
                    name=f"{name}[{index}]", place=f"{entry.place}.{index}", args=(items[index],),
                    from_memory=not is_live, **what,
                )  # fmt: skip
                method = "on_step_done" if is_value else "on_step_failed"
                self.tell(method if is_live else "on_replayed_step", fact)

    def _step_of(self, run: Run, step: StepAsked, at: float, **what: Any) -> ObservedStep:
        fields = {"attempt": step.attempt} | what
        return ObservedStep(
            at=_sure(at), run_id=run.id, runner=run.runner, worker=self.worker, name=step.name,
            place=step.place, args=step.args, kwargs=step.kwargs, **fields,
        )  # fmt: skip


def tell(method: str, name: str, **details: Any) -> None:
    """
    Tell the observers of the app whose code runs of something that it did by the way.

    `tell("on_circuit_open", "stripe", until=...)`, in a step or in the worker's own task for one;
    costs one look where there are none. Never raises.
    """
    observers = _current.get()
    if observers is None:
        return
    with _harmless():
        facts = current()
        fact = ObservedCall(
            at=datetime.now(UTC), name=name, run_id="" if facts is None else facts.run,
            runner="" if facts is None else facts.runner, worker=observers.worker, details=details,
        )  # fmt: skip
        observers.tell(method, fact)


@contextmanager
def _harmless() -> Iterator[None]:
    """Log what goes wrong here, and go on: no run may suffer from being observed."""
    try:
        yield
    except Exception:
        log.exception("observers could not be told of something; the run goes on")


def _at(moment: float | None) -> datetime | None:
    return as_datetime(moment) if moment else None


def _sure(moment: float) -> datetime:
    return as_datetime(moment) or datetime.fromtimestamp(0, UTC)
