"""
The line to one observer: what it is to be told waits there, and a thread of its own tells it.

Whoever tells never waits and never hears of an error. What an observer returns to be awaited is
awaited on the loop of whoever told, as a task; its thread waits for that meanwhile, so that it is
told everything in order.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from queue import SimpleQueue
from typing import Any

from stepflow.engine.user_code.calls import EscapedError, escaped, passes, settled

log = logging.getLogger("stepflow.observer")

#: errors after which an observer is dropped
MOST_ERRORS = 10
#: facts that wait for one observer; more are lost, so that a slow one does not fill the memory
MOST_WAITING = 10_000

Loop = asyncio.AbstractEventLoop


class ToldAtOnce:
    """Base of observers that are told in the very call, by whoever tells: those of tests."""


class Line:
    """The line to one *observer*. `put` may be called from any thread."""

    def __init__(self, observer: object) -> None:
        self.observer = observer
        self.is_dropped = False
        self._is_told_at_once = isinstance(observer, ToldAtOnce)
        self._waiting: SimpleQueue[tuple[Callable[[Any], Any], Any, Loop | None]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        #: facts put here, and those of them that are told
        self._put = self._told = 0
        self._errors = 0
        self._lost = 0

    @property
    def is_idle(self) -> bool:
        """Whether it has been told everything, or is told nothing any more."""
        return self.is_dropped or self._told >= self._put

    def put(self, method: Callable[[Any], Any], fact: Any, loop: Loop | None) -> None:
        """Have *method* called with *fact*; *loop* is where an `async def` belongs."""
        if self.is_dropped:
            return
        if self._is_told_at_once:
            self._tell(method, fact, None)
            return
        if self._waiting.qsize() >= MOST_WAITING:
            self._note_loss()
            return
        with self._lock:
            self._put += 1
        self._waiting.put((method, fact, loop))
        if self._thread is None or not self._thread.is_alive():  # as in a forked child
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                name = f"stepflow-observer-{type(self.observer).__name__}"
                self._thread = threading.Thread(target=self._tell_all, name=name, daemon=True)
                self._thread.start()

    def _tell_all(self) -> None:
        while not self.is_dropped:
            method, fact, loop = self._waiting.get()
            self._tell(method, fact, loop)
            self._told += 1
            del method, fact, loop  # keeps no value of a run alive
        self._waiting = SimpleQueue()  # nor does what is told to nobody

    def _tell(self, method: Callable[[Any], Any], fact: Any, loop: Loop | None) -> None:
        try:
            answer = method(fact)
            if answer is not None:
                _await(answer, loop)
        except BaseException as error:  # noqa: BLE001  user code: whatever it raises
            self._note_error(method, fact, escaped(error))

    def _note_error(self, method: Callable[[Any], Any], fact: Any, error: BaseException) -> None:
        self._errors += 1
        is_last = self._errors >= MOST_ERRORS
        log.error(
            "run=%s observer %s raised in %s: %s%s",
            fact.run_id,
            type(self.observer).__name__,
            getattr(method, "__name__", method),
            type(error).__name__,
            f"; it is told nothing more, for it has raised {MOST_ERRORS} times" if is_last else "",
            exc_info=error,
        )
        self.is_dropped = is_last

    def _note_loss(self) -> None:
        self._lost += 1
        if self._lost == 1 or self._lost % MOST_WAITING == 0:
            log.warning(
                "observer %s is too slow: %s facts wait for it, %s were not told",
                type(self.observer).__name__,
                MOST_WAITING,
                self._lost,
            )


def _await(answer: Any, loop: Loop | None) -> None:
    """Wait in this thread for what a method returned, awaited where it belongs."""
    if loop is None or loop.is_closed() or not loop.is_running():
        asyncio.run(_guarded(answer))
        return
    work = _guarded(answer)
    try:
        told = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:  # it was closed just now
        work.close()
        return
    try:
        told.result()
    except CancelledError:  # the loop has ended
        return


async def _guarded(answer: Awaitable[Any]) -> None:
    """Await user code; what would end the loop leaves it wrapped."""
    try:
        await settled(answer)
    except Exception:
        raise
    except BaseException as error:
        if passes(error):
            raise
        raise EscapedError(error) from error
