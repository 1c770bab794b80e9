"""The supervisor: it keeps so many worker processes alive, and hands over dead ones' claims."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import FrameType

from stepflow.core import probes
from stepflow.entry import READY_VARIABLE, SUPERVISOR_VARIABLE
from stepflow.process import end_hard
from stepflow.settings import load_settings
from stepflow.worker.worker import new_worker_name

log = logging.getLogger("stepflow.supervisor")

#: seconds between looks at the children
LOOK_S = 0.05
#: seconds after which a child that never took a claim does not count as one that cannot start, or
#: not again
SETTLED_S = 1.0
#: seconds: the longest wait before a child that cannot start is started again
LONGEST_WAIT_S = 10.0
#: seconds after the grace at which a child that was told to leave, and has not, is killed
PATIENCE_S = 10.0
#: seconds that the claims of the last children may take to be handed over before the supervisor
#: leaves
HANDING_OVER_S = 5.0

#: hands over what stands under a worker's name; may give how much that was
Recover = Callable[[str], object]


class ReadyPipe:
    """How a worker process tells the one that started it that it takes claims."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        #: for the environment of the worker, which must be passed the descriptor *writer*
        self.environment = {SUPERVISOR_VARIABLE: str(os.getpid()), READY_VARIABLE: str(self.writer)}

    def is_passed(self) -> None:
        """Close the end that the worker has now."""
        os.close(self.writer)

    def close(self) -> bool:
        """Say of a worker that has ended whether it had come to take claims, and close the pipe."""
        try:
            return bool(os.read(self._reader, 8))
        except BlockingIOError:  # something that it started has the other end still
            return False
        finally:
            os.close(self._reader)


class WorkerProcess:
    """One worker process and its name, by which its claims are found."""

    def __init__(self, command: Sequence[str]) -> None:
        self.name = new_worker_name()
        self.started_at = time.monotonic()
        #: when it was first told to leave
        self.told_at: float | None = None
        self._ready = ReadyPipe()
        try:
            # a session of its own: Ctrl-C reaches the supervisor alone, which passes one signal on
            self.process = subprocess.Popen(
                [*command, "--name", self.name],
                start_new_session=True,
                pass_fds=[self._ready.writer],
                env={**os.environ, **self._ready.environment},
            )
        finally:
            self._ready.is_passed()

    def send_signal(self, number: int) -> None:
        """Send the process a signal, unless it has ended."""
        self.told_at = self.told_at or time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)

    def could_start(self) -> bool:
        """Say of a child that has ended whether it took claims, or at least lived for a while."""
        return self._ready.close() or time.monotonic() - self.started_at > SETTLED_S


def supervise(
    command: Sequence[str],
    *,
    processes: int,
    recover: Recover,
    burst: bool = False,
    grace_s: float | None = None,
) -> int:
    """
    Keep *processes* of *command* running until SIGTERM or SIGINT; each signal is passed on.

    *recover* is called with the worker name of each child that ended, at once, in a thread of its
    own; it says how much stood under that name. A successor starts then, whatever the exit code, or
    after a wait when children cannot start. Only with *burst* is a child that exits with 0 and left
    nothing behind not replaced. A child that was told and is not gone ten seconds after *grace_s*
    (the setting, if not given) is killed. Gives the exit code: 0 unless a child failed at the end.
    """
    grace_s = load_settings().worker.grace_s if grace_s is None else grace_s
    pool = _ProcessPool(command, recover, burst=burst, grace_s=grace_s)

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        pool.pass_on(number)

    end_hard()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    for _ in range(processes):
        pool.start()
    while pool.is_busy:
        pool.look()
        time.sleep(LOOK_S)
    pool.settle()
    return 1 if any(pool.codes) else 0


class _ProcessPool:
    """The children of one supervisor, and when those that ended are to be replaced."""

    def __init__(
        self, command: Sequence[str], recover: Recover, *, burst: bool, grace_s: float
    ) -> None:
        self._command = command
        self._recover = recover
        self._burst = burst
        self._patience_s = grace_s + PATIENCE_S
        self._children: list[WorkerProcess] = []
        #: monotonic times at which a child is to be started
        self.due: list[float] = []
        #: children of a burst that ended with 0, and what is found under their names
        self._done: list[tuple[WorkerProcess, Future[object]]] = []
        self._recovering: list[Future[object]] = []
        self._signal: int | None = None
        self._false_starts = 0
        #: exit codes of the children that are not replaced
        self.codes: list[int] = []

    @property
    def is_busy(self) -> bool:
        """Whether there is a child, or will be."""
        return bool(self._children or self.due or self._done)

    def start(self) -> None:
        """Start a child; one that starts while the signal to leave arrives gets it, too."""
        try:
            child = WorkerProcess(self._command)
        except OSError as error:  # no memory, no more processes
            log.error("no worker can be started (%s); trying again in %g s", error, LONGEST_WAIT_S)
            self.due.append(time.monotonic() + LONGEST_WAIT_S)
            return
        self._children.append(child)
        if self._signal is not None:
            child.send_signal(self._signal)

    def look(self) -> None:
        """Look once which children have ended, must be killed, or are to be started."""
        for child in list(self._children):
            code = child.process.poll()
            if code is not None:
                self._children.remove(child)
                self._reap(child, code)
            elif child.told_at is not None and time.monotonic() > child.told_at + self._patience_s:
                log.error("worker %s (pid %s) does not stop; killed", child.name, child.process.pid)
                child.process.kill()
                child.told_at = None  # said once
        for child, found in [(child, found) for child, found in self._done if found.done()]:
            self._done.remove((child, found))
            if found.exception() is None and found.result():
                log.error(
                    "worker %s (pid %s) ended with 0 in the middle of its work",
                    child.name,
                    child.process.pid,
                )
                self._replace(child)
        self._start_due()

    def _start_due(self) -> None:
        """Start those whose time has come; a signal may come in between, and no more start then."""
        now = time.monotonic()
        for moment in [moment for moment in self.due if moment <= now]:
            if self._signal is None:
                self.due.remove(moment)
                self.start()
        if self._signal is not None:
            self.due.clear()

    def pass_on(self, number: int) -> None:
        """
        Pass a signal on to every child; none is started any more.

        Called by the signal's handler, between any two lines of `look`.
        """
        self._signal = number
        for child in self._children:
            child.send_signal(number)

    def settle(self) -> None:
        """Wait a moment until what the last children left behind is handed over."""
        until = time.monotonic() + HANDING_OVER_S
        while not all(found.done() for found in self._recovering) and time.monotonic() < until:
            time.sleep(LOOK_S)

    def _reap(self, child: WorkerProcess, code: int) -> None:
        """Hand over the claims of a child that ended, and replace it unless it was to end."""
        if self._signal is not None:
            # one that was told before it could listen dies of the signal, and that is leaving, too
            self.codes.append(0 if code == -self._signal else code)
            self._hand_over(child)
            return
        if self._burst and code == 0:
            self._done.append((child, self._hand_over(child)))
            return
        log.error(
            "worker %s (pid %s) ended with %s; its claims are handed over",
            child.name,
            child.process.pid,
            code,
        )
        probes.at("supervise.dead")
        self._hand_over(child)
        self._replace(child)

    def _replace(self, child: WorkerProcess) -> None:
        """Start a successor: at once, or after a wait when children cannot start."""
        if self._signal is not None:
            return
        self._false_starts = 0 if child.could_start() else self._false_starts + 1
        wait_s = min(LONGEST_WAIT_S, 0.1 * 2**self._false_starts) if self._false_starts > 1 else 0.0
        self.due.append(time.monotonic() + wait_s)

    def _hand_over(self, child: WorkerProcess) -> Future[object]:
        """Begin to hand over a child's claims, in a thread: nothing else may hold that up."""
        found: Future[object] = Future()
        self._recovering = [other for other in self._recovering if not other.done()]
        self._recovering.append(found)

        def hand_over() -> None:
            try:
                found.set_result(self._recover(child.name))
            except Exception as error:
                log.exception(
                    "the claims of worker %s could not be handed over; they lapse by themselves",
                    child.name,
                )
                found.set_exception(error)

        threading.Thread(
            target=hand_over, name=f"stepflow-recover-{child.name}", daemon=True
        ).start()
        return found
