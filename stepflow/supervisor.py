"""The supervisor: so many worker processes, kept alive; a dead one's claims are handed over at once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from stepflow.core import probes
from stepflow.engine.worker import new_worker_name
from stepflow.entry import SUPERVISOR_VARIABLE

log = logging.getLogger("stepflow.supervisor")

#: seconds between looks at the children
LOOK_S = 0.05
#: seconds a child must have lived for its successor to start without a wait: long enough to tell one that cannot start
#: from one that was killed, short enough that killing workers again and again does not leave none
SETTLED_S = 1.0
#: seconds: the longest wait before a child that keeps dying is started again
LONGEST_WAIT_S = 10.0


class Child:
    """One worker process and its name, by which its claims are found."""

    def __init__(self, command: Sequence[str]) -> None:
        self.name = new_worker_name()
        self.started_at = time.monotonic()
        # a session of its own: Ctrl-C reaches the supervisor alone, which passes one signal on
        self.process = subprocess.Popen(
            [*command, "--name", self.name],
            start_new_session=True,
            env={**os.environ, SUPERVISOR_VARIABLE: str(os.getpid())},
        )


def supervise(command: Sequence[str], *, processes: int, recover: Callable[[str], object]) -> int:
    """
    Keep *processes* of *command* running until SIGTERM or SIGINT, which is passed on; a second one is passed on too.

    *recover* is called with the worker name of a child that died, at once; its successor starts then, or after a wait when
    it keeps dying young. A child that exits with 0 has done what it was told (a burst) and is not replaced. Gives the exit
    code: 0 unless a child failed at the end.
    """
    crew = _Crew(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda sent, _: crew.pass_on(sent))
    for _ in range(processes):
        crew.start()
    while crew.children or crew.due:
        for child in list(crew.children):
            code = child.process.poll()
            if code is not None:
                crew.bury(child, code, recover)
        crew.start_due()
        time.sleep(LOOK_S)
    return 1 if any(crew.codes) else 0


class _Crew:
    """The children of one supervisor, and when those that died are to be replaced."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self.children: list[Child] = []
        #: monotonic times at which a child is to be started
        self.due: list[float] = []
        self.codes: list[int] = []
        self._signal: int | None = None
        self._young_deaths = 0

    def start(self) -> None:
        """Start a child; one that starts while the signal to leave arrives is told, too."""
        child = Child(self._command)
        self.children.append(child)
        if self._signal is not None:
            child.process.send_signal(self._signal)

    def start_due(self) -> None:
        """Start the children whose time has come."""
        now = time.monotonic()
        for moment in [moment for moment in self.due if moment <= now]:
            self.due.remove(moment)
            self.start()

    def pass_on(self, number: int) -> None:
        """Pass a signal on; nobody is started any more."""
        self._signal = number
        self.due.clear()
        for child in self.children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    def bury(self, child: Child, code: int, recover: Callable[[str], object]) -> None:
        """Take leave of a child that ended; one that died has its claims handed over and is replaced."""
        self.children.remove(child)
        if code == 0 or self._signal is not None:
            # one that was told before it could listen dies of the signal, and that is leaving, too
            self.codes.append(0 if self._signal is not None and code == -self._signal else code)
            return
        log.error("worker %s (pid %s) died with %s; its claims are handed over", child.name, child.process.pid, code)
        probes.at("supervise.dead")
        _recover(recover, child.name)
        is_young = time.monotonic() - child.started_at <= SETTLED_S
        self._young_deaths = self._young_deaths + 1 if is_young else 0
        wait_s = min(LONGEST_WAIT_S, 0.1 * 2**self._young_deaths) if self._young_deaths > 1 else 0.0
        self.due.append(time.monotonic() + wait_s)


def _recover(recover: Callable[[str], object], name: str) -> None:
    try:
        recover(name)
    except Exception:
        log.exception("the claims of worker %s could not be handed over; they lapse by themselves", name)
