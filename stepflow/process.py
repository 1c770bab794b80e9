"""A worker's process: its signals, and its end, which no user code can put off."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, NoReturn

from stepflow import forks

log = logging.getLogger("stepflow.worker")

#: what tells a worker to leave
LEAVING = (signal.SIGTERM, signal.SIGINT)
#: exit code of a worker that ended untold: user code cancelled its tasks or broke its loop
ASTRAY = 70
#: exit code of a worker that left because functions that do not return took its slots or its loop
STUCK = 75
#: seconds after the grace at which a process that has not left by itself is ended; ten are promised
MARGIN_S = 8.0
#: seconds that last words and full buffers are given before the process ends
LAST_WORDS_S = 1.0
#: seconds between looks for a signal while a start waits for something
LOOK_S = 0.05
#: seconds between looks at the time where signals cannot be waited for any more
CLOSED_S = 0.2
#: frames of the main thread that the last words show
STACK = 8
#: seconds that hooks of `atexit` have
ATEXIT_S = 5.0

#: whether this process is, or was, a worker or a supervisor
_is_ours = False
_ending = threading.Lock()


class Departure:
    """
    How this process ends: when a signal says so, and at the latest a moment after the grace.

    A signal is noticed even while user code blocks the loop: by Python's handler, which runs
    between two bytecodes of the main thread, and by a thread that reads what Python writes for each
    signal and does not need the main thread at all.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._handled = 0
        self._seen = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: Callable[[], None] | None = None
        self._in_progress: Callable[[], Sequence[str]] = tuple
        #: monotonic time at which the process ends, once it has begun to leave
        self._until: float | None = None
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # noqa: FBT003
        self._handler = self._on_signal  # one object, to be known again
        #: the exit code should the process have to be ended; 0 while the worker has nothing claimed
        self.code = 0

    def take_signals(self) -> None:
        """
        Take SIGTERM and SIGINT, in the main thread.

        Until `on_loop` they are only noted, for `leave_if_told` and `wait`: what a signal's handler
        raises can come out of a lock, or of a callback of the garbage collector that swallows it.
        """
        end_hard()
        forks.keep_apart()
        for number in LEAVING:
            signal.signal(number, self._handler)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # from the start: when it is needed, user code may have used up all the threads there are
        threading.Thread(target=self._watch, name="stepflow-signals", daemon=True).start()

    @property
    def is_told(self) -> bool:
        """Whether a signal has said to leave."""
        return max(self._handled, self._seen) > 0

    def leave_if_told(self) -> None:
        """Raise SystemExit(0) if a signal has come. Called while nothing is claimed."""
        if self.is_told:
            raise SystemExit(0)

    def wait(self, seconds: float) -> None:
        """Sleep that long while nothing is claimed; raise SystemExit(0) when a signal comes."""
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0 and not self.is_told:
            time.sleep(min(LOOK_S, left_s))
        self.leave_if_told()

    def on_loop(
        self, leave: Callable[[], None], *, in_progress: Callable[[], Sequence[str]]
    ) -> None:
        """
        Have *leave* called on the running loop when a signal says so, or has said so already.

        Nothing else on it gets the worker's signals. *in_progress* names the runs that are still
        claimed, and what else keeps the worker, for the last words.
        """
        self._loop, self._leave = asyncio.get_running_loop(), leave
        self._in_progress = in_progress
        add = self._loop.add_signal_handler

        def add_another(number: int, callback: Callable[..., Any], *args: Any) -> None:
            if number not in LEAVING:
                add(number, callback, *args)
            else:
                log.warning(
                    "user code asked the loop for %s; the worker needs it and keeps it",
                    signal.Signals(number).name,
                )

        self._loop.add_signal_handler = add_another  # type: ignore[assignment, method-assign]
        signal.set_wakeup_fd(
            self._writer.fileno(), warn_on_full_buffer=False
        )  # the loop has put its own there
        self.code = STUCK
        if self.is_told:
            leave()

    def keep_signals(self) -> None:
        """Take the signals back where user code has taken them. Called on the loop's thread."""
        for number in LEAVING:
            if signal.getsignal(number) is not self._handler:
                log.warning(
                    "user code has set a handler for %s; the worker needs it and takes it back",
                    number.name,
                )
                signal.signal(number, self._handler)
        with suppress(OSError, ValueError):  # user code closed it: Python's handler remains
            theirs = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
            # user code has handlers of its own on the loop, which need it
            if theirs not in (-1, self._writer.fileno()):
                signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)

    def begin(self) -> None:
        """
        Begin to leave: from now on the process has its grace and a moment. Twice is once.

        One that has not begun to work has no grace, but the moment.
        """
        if self._until is None:
            grace_s = 0.0 if self._leave is None else self._grace_s
            self._until = time.monotonic() + grace_s + MARGIN_S
            with suppress(OSError):  # full or closed: it wakes by itself
                self._writer.send(b"\0")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._handled += 1
        self._notice(number)

    def _watch(self) -> None:
        """Notice signals, and end the process when its time is over. In a thread of its own."""
        while self._until is None or time.monotonic() < self._until:
            for number in self._numbers():
                if number in LEAVING:
                    self._seen += 1
                    self._notice(number)
            self._call_on_loop(_run_handlers)
        words = ""
        with suppress(Exception):  # whatever user code has done to what it looks at
            words = self._what_keeps()
        end_now(self.code, words)

    def _numbers(self) -> bytes:
        """Wait for signals, no longer than the process has left."""
        left_s = None if self._until is None else max(0.0, self._until - time.monotonic())
        try:
            self._reader.settimeout(left_s)
            return self._reader.recv(64)
        except (BlockingIOError, TimeoutError):  # no time left
            return b""
        except OSError:  # user code closed it
            threading.Event().wait(CLOSED_S)
            return b""

    def _notice(self, number: int) -> None:
        """Take note of a signal; called for each by the handler, the thread, or both."""
        if max(self._handled, self._seen) > 1:
            end_now(
                128 + number,
                "second signal: leaving at once; what is in progress runs again elsewhere",
            )
        self.begin()
        if self._leave is not None:
            self._call_on_loop(self._leave)

    def _call_on_loop(self, function: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it is closed: the worker has left
                self._loop.call_soon_threadsafe(function)

    def _what_keeps(self) -> str:
        """Say what keeps this process from leaving by itself."""
        waited_s = MARGIN_S + (0.0 if self._leave is None else self._grace_s)
        threads = [thread.name for thread in threading.enumerate() if not thread.daemon]
        # the one way to see another thread's stack
        frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001
        stack = "".join(traceback.format_stack(frame, STACK)) if frame is not None else ""
        runs = ", ".join(self._in_progress())
        return (
            f"not gone {waited_s:g} s after it began to leave; ended. "
            f"In progress: {runs or 'nothing'}. Threads: {', '.join(threads)}. "
            f"The main thread is at:\n{stack}"
        )


def _run_handlers() -> None:
    """
    Do nothing, on the loop.

    Python calls the handlers of signals where its code runs: one that raises then does so here.
    """


def end_now(code: int, words: str = "") -> NoReturn:
    """
    End the process without waiting for anything.

    Last words and full buffers have a second, for a lock may be held.
    """
    if not _ending.acquire(blocking=False):  # another thread is at it
        threading.Event().wait()

    def say() -> None:
        if words:
            log.warning("%s", words)
        _flush()
        _end_children()

    with suppress(RuntimeError):  # no more threads
        last = threading.Thread(target=say, daemon=True)
        last.start()
        last.join(LAST_WORDS_S)
    os._exit(code)


def end_hard() -> None:
    """
    Have `end_worker` end this process.

    It is a worker, or a supervisor, which imports the app as well.
    """
    global _is_ours  # noqa: PLW0603  what holds for a process is global
    _is_ours = True


def end_worker(code: int) -> None:
    """
    End this process if it was a worker; does nothing in any other process.

    Hooks of `atexit` are called and have seconds; threads of user code are not waited for.
    """
    if not _is_ours:
        return
    with suppress(RuntimeError):  # no more threads
        threading.Thread(target=_end_after, args=(code,), name="stepflow-end", daemon=True).start()
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001  as multiprocessing does
    end_now(code)


def _end_after(code: int) -> None:
    threading.Event().wait(ATEXIT_S)
    end_now(code, f"hooks of atexit have not returned for {ATEXIT_S:g} s; ended")


def _flush() -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _end_children() -> None:
    """
    Kill what `multiprocessing` would at exit.

    Its daemons, such as a pool's, would stay for ever.
    """
    if "multiprocessing" in sys.modules:
        with suppress(Exception):
            for child in sys.modules["multiprocessing"].active_children():
                if child.daemon:
                    child.kill()
