"""
Processes that user code forks off a worker: their signals are their own, and none does its work.

A forked child has all its parent had: the handlers of its signals, the descriptor that a signal is
written to, the loop and its connections. What the child is told must not reach the worker, and what
runs on in it must not speak for the worker.
"""

from __future__ import annotations

import asyncio
import dis
import os
import signal
import sys
import threading
import traceback
from types import FrameType, TracebackType
from typing import Any, NoReturn

#: packages whose code goes on after user code: a child that comes back into it from user code has
#: nothing left to do
_RUNTIME = {"stepflow", "asyncio", "concurrent", "uvloop"}
#: modules of ours that a child may not call: they speak over its worker's connections, or work in
#: its place
_WORKERS_OWN = {
    f"stepflow.{name}"
    for name in (
        "worker.drive", "worker.execute", "worker.fetcher", "worker.maintenance", "worker.notify",
        "worker.parts", "worker.runtime.runner_side", "worker.runtime.step_runtime", "worker.state",
        "worker.threads", "worker.worker",
        "kits.flow.context", "kits.flow.sync_context", "kits.flow.replay.activation",
        "kits.flow.replay.fiber", "kits.flow.replay.host", "kits.flow.replay.loop",
    )
}  # fmt: skip

#: the process whose forks are kept apart; None in its children
_worker: int | None = None
_registered = False
#: each forking thread's signal mask of before
_masks = threading.local()


def keep_apart() -> None:
    """Have what is forked off this process from now on be no worker. Twice is once."""
    global _worker, _registered  # noqa: PLW0603  what holds for a process is global
    _worker = os.getpid()
    if not _registered:
        _registered = True
        os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)


def _before() -> None:
    """
    Hold signals back.

    One that came to the child before its handlers are reset would be read by the worker.
    """
    if _worker is not None:
        _masks.kept = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def _after() -> None:
    if _worker is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.kept)


def _in_child() -> None:
    global _worker  # noqa: PLW0603
    if _worker is None:  # a child's child
        return
    _worker = None
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # as Python knows; libuv has a handler that writes to its pipe
        if signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        asyncio._set_running_loop(None)  # noqa: SLF001  as asyncio itself does from 3.12 on
        _end_where_user_code_ends(sys._getframe().f_back)  # noqa: SLF001
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, _masks.kept)


def _end_where_user_code_ends(frame: FrameType | None) -> None:
    """
    End this child as soon as it returns, raises or awaits out of the user code that forked it.

    By tracing, as a debugger stops where a function returns: no place in the runtime need know of
    forks. A child of `multiprocessing` ends by itself, and is not slowed down.
    """
    ours: list[FrameType] = []
    outermost: list[FrameType] = []
    below: FrameType | None = None
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name == "multiprocessing.popen_fork":
            return
        if name.partition(".")[0] in _RUNTIME:
            ours.append(frame)
            outermost += [below] if below is not None else []
            below = None
        else:
            below = frame
        frame = frame.f_back
    for runtimes in ours:  # user code may be no Python function, and have no frame
        runtimes.f_trace, runtimes.f_trace_opcodes = _came_back, True
    for users in outermost:
        users.f_trace, users.f_trace_lines = _Watch(), False
    sys.settrace(_called)


class _Watch:
    """Traces an outermost frame of user code: what it ends with is what the child ends with."""

    def __init__(self) -> None:
        self._raised: tuple[Any, ...] | None = None

    def __call__(self, frame: FrameType, event: str, argument: Any) -> _Watch:
        """Note what happens in the frame; it may still catch an exception."""
        if event == "exception":
            self._raised = argument
        if event == "return":
            _end_as(frame, self._raised)
        return self


def _called(frame: FrameType, event: str, argument: Any) -> None:
    """Trace a call in the child: one of the worker's own functions ends it."""
    del event, argument
    if frame.f_globals.get("__name__") in _WORKERS_OWN:
        name = frame.f_code.co_qualname
        _end(1, f"a process forked off a worker may not call {name} of its worker; it ends")


def _came_back(frame: FrameType, event: str, argument: Any) -> NoReturn:
    """End the child: it has left user code."""
    if event == "exception":
        _end(*_after_error(*argument))
    _end_as(frame, None)


def _end_as(frame: FrameType, raised: tuple[Any, ...] | None) -> NoReturn:
    """End as *frame* does: by a return, by waiting, or by the last exception raised in it."""
    instruction = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    if instruction == "YIELD_VALUE":
        _end(1, "a process forked off a worker may not wait on the loop of its worker; it ends")
    if raised is None or instruction.startswith("RETURN"):
        _end(0)
    _end(*_after_error(*raised))


def _after_error(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> tuple[int, str]:
    """Say with which code and words Python itself would end after *error*."""
    if not isinstance(error, SystemExit):
        return 1, "".join(traceback.format_exception(kind, error, trace))
    if error.code is None or isinstance(error.code, int):
        return error.code or 0, ""
    return 1, str(error.code)


def _end(code: int, words: str = "") -> NoReturn:
    sys.settrace(None)
    try:
        if words:
            sys.stderr.write(f"{words}\n")
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)
