"""The program of a child process: it carries out calls, one after another."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from multiprocessing import forkserver, parent_process
from typing import Any

from stepflow.core.runner import Step
from stepflow.engine.user_code.arguments import call_reader, payload_type, reader_for
from stepflow.engine.user_code.processes.messages import (
    HEAD,
    find,
    frame,
    read_call,
    write_error,
    write_value,
)
from stepflow.errors import InvalidOption

#: of `prctl`: which signal comes when the parent ends
_DEATH_SIGNAL = 1
#: what a runner is told that asks its step for more than it has here
_ALONE = (
    "a step in a child process has its payload, headers, number, attempt, key and deadline; for "
    "memo, effects, emit and extend, leave out isolation='process'"
)


def serve(link: socket.socket, memory_bytes: int) -> None:
    """Carry out the calls that come over *link*; with at most so many bytes of memory, or 0."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which ends this one
    _be_killed_with_server()
    threading.Thread(target=_end_with_worker, daemon=True).start()
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with link, contextlib.suppress(OSError):
        while (data := _read(link)) is not None:
            link.sendall(frame(_carry_out(data)))


def _carry_out(data: bytes) -> bytes:
    try:
        module, qualname, payload, step = read_call(data)
        if step:
            return write_value(_do_step(*_runner(module, qualname), payload, step))
        function, arguments = _function(module, qualname)
        args, kwargs = arguments(payload)
        return write_value(function(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001  told to the worker, whatever it is
        return write_error(error)


@lru_cache(maxsize=1024)
def _function(module: str, qualname: str) -> tuple[Callable[..., Any], Any]:
    found = find(module, qualname)
    function = getattr(found, "isolated_function", found)
    return function, call_reader(function, qualname)


@lru_cache(maxsize=1024)
def _runner(module: str, qualname: str) -> tuple[Callable[..., Any], Any]:
    function = find(module, qualname)
    return function, reader_for(qualname, payload_type(function))


class _NoRuntime:
    """The runtime of a step in a child process, which has none."""

    blocking = True

    def __getattr__(self, name: str) -> Any:
        raise InvalidOption(_ALONE)


def _do_step(
    function: Callable[..., Any], read: Callable[[Any], Any], payload: Any, told: Sequence[Any]
) -> Any:
    step = Step.of_told(told, read(payload), _NoRuntime())
    outcome = function(step)
    if step.pending_effects:
        raise InvalidOption(_ALONE)
    return outcome


def _read(link: socket.socket) -> bytes | None:
    """Read one message; None when the worker has closed the link."""
    head = _exactly(link, HEAD)
    return None if head is None else _exactly(link, int.from_bytes(head, "big"))


def _exactly(link: socket.socket, size: int) -> bytes | None:
    found = bytearray(size)
    view = memoryview(found)
    while view:
        count = link.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return bytes(found)


def _be_killed_with_server() -> None:
    """
    Have the kernel kill this process with the fork server, which ends with the worker.

    A thread cannot see to that while C code has the interpreter's lock. Only Linux has it.
    """
    server = getattr(forkserver, "_forkserver", None)
    alive = getattr(server, "_forkserver_alive_fd", None)
    if sys.platform != "linux" or server is None or alive is None:
        return
    os.close(alive)  # as long as any child has this end, the server does not end
    server._forkserver_alive_fd = None  # noqa: SLF001  closed
    ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _end_with_worker() -> None:
    """End this process with the worker's, also where that is killed while a function runs."""
    worker = parent_process()
    if worker is not None:
        worker.join()
    os._exit(1)
