"""The supervisor: so many worker processes, kept alive; a dead one's claims are handed over at once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from stepflow.engine.worker import new_worker_name
from stepflow.entry import SUPERVISOR_VARIABLE

log = logging.getLogger("stepflow.supervisor")

#: seconds between looks at the children
LOOK_S = 0.05
#: seconds a child must have lived for its successor to start without a wait
SETTLED_S = 5.0
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

    *recover* is called with the worker name of a child that died, before its successor starts. A child that exits with
    0 has done what it was told (a burst) and is not replaced. Gives the exit code: 0 unless a child failed at the end.
    """
    leaving = threading.Event()
    children = [Child(command) for _ in range(processes)]
    codes: list[int] = []
    quick_deaths = 0

    def on_signal(number: int, frame: object) -> None:
        del frame
        leaving.set()
        for child in children:
            if child.process.poll() is None:
                child.process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    while children:
        for child in list(children):
            code = child.process.poll()
            if code is None:
                continue
            children.remove(child)
            if code == 0 or leaving.is_set():
                codes.append(code)
                continue
            log.error(
                "worker %s (pid %s) died with %s; its claims are handed over, another starts",
                child.name,
                child.process.pid,
                code,
            )
            _recover(recover, child.name)
            quick_deaths = 0 if time.monotonic() - child.started_at > SETTLED_S else quick_deaths + 1
            leaving.wait(min(LONGEST_WAIT_S, 0.1 * 2**quick_deaths) if quick_deaths > 1 else 0)
            if not leaving.is_set():
                children.append(Child(command))
        time.sleep(LOOK_S)
    return max((abs(code) for code in codes), default=0) and 1


def _recover(recover: Callable[[str], object], name: str) -> None:
    try:
        recover(name)
    except Exception:
        log.exception("the claims of worker %s could not be handed over; they lapse by themselves", name)
