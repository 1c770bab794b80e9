"""Tells the app's listeners what this worker has committed; loaded when an app has some."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepflow.core.events import Event, EventType
from stepflow.core.outcomes import readable
from stepflow.core.run import Run
from stepflow.core.step_record import StepRecord
from stepflow.core.transition import Transition, TransitionKind
from stepflow.engine.events.derived import told_of
from stepflow.engine.events.entries import event_of_entry
from stepflow.engine.user_code.calls import passes, settled
from stepflow.times import as_datetime

log = logging.getLogger("stepflow.worker")

#: errors after which a listener is dropped
MOST_ERRORS = 10

Listener = Callable[[Event], Any]


class Listeners:
    """The listeners of one app in one worker; lives on its loop."""

    def __init__(self, listeners: Mapping[EventType, Sequence[Listener]]) -> None:
        self._listeners = {kind: list(functions) for kind, functions in listeners.items()}
        self._loop = asyncio.get_running_loop()
        self._errors: Counter[Listener] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def note_commit(self, run: Run, record: StepRecord, move: Transition) -> None:
        """Tell what became of a step: *record* is what its commit has written."""
        told = told_of(run.step, record, run)
        if told is not None:
            self._tell(run, record.ended_at, *told)
        if move.kind is TransitionKind.FINISH:
            details = {"state": str(move.state), "end": run.ends + 1}
            self._tell(run, record.ended_at, EventType.ENDED, details)

    def note_entry(self, run: Run, written: bytes) -> None:
        """Tell what a journal entry says that was just written."""
        at, told = event_of_entry(written)
        if told is not None:
            self._tell(run, at, *told)

    def _tell(self, run: Run, at: float, kind: EventType, details: dict[str, Any]) -> None:
        functions = self._listeners.get(kind)
        if functions:
            event = Event("", kind, run.id, run.runner, as_datetime(at), details)
            for function in functions:
                self._loop.call_soon(self._call, function, event)

    def _call(self, function: Listener, event: Event) -> None:
        if self._errors[function] >= MOST_ERRORS:
            return
        try:
            answer = function(event)
        except BaseException as error:  # noqa: BLE001  user code: whatever it raises
            self._note_error(function, event, error)
            return
        if answer is not None:
            task = self._loop.create_task(self._await(function, event, answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _await(self, function: Listener, event: Event, answer: Any) -> None:
        try:
            await settled(answer)
        except BaseException as error:
            if passes(error):
                raise
            self._note_error(function, event, error)

    def _note_error(self, function: Listener, event: Event, error: BaseException) -> None:
        self._errors[function] += 1
        is_last = self._errors[function] == MOST_ERRORS
        log.error(
            "run=%s listener %s raised at %s: %s: %s%s",
            event.run,
            getattr(function, "__qualname__", function),
            event.type,
            type(error).__name__,
            readable(error),
            f"; it is told nothing more, for it has raised {MOST_ERRORS} times" if is_last else "",
            exc_info=error,
        )
