"""Kills workers, and stops some past their leases."""

from __future__ import annotations

import signal
import time
from typing import Any

from tests.crash.support.cluster import Process
from tests.crash.support.killing import Killer

#: seconds for which a worker is stopped: twice its lease
STOPPED_S = 3.0


class Hurter(Killer):
    """Stops every third worker, which goes on when its lease is over, and kills the others."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stopped: list[tuple[float, Process]] = []

    def __call__(self) -> None:
        for until, process in list(self._stopped):
            if time.monotonic() > until:
                self._stopped.remove((until, process))
                process.send(signal.SIGCONT)
        super().__call__()

    def hurt(self, victim: Process) -> None:
        if self.kills % 3 != 2:
            victim.kill()
            return
        victim.send(signal.SIGSTOP)
        self._stopped.append((time.monotonic() + STOPPED_S, victim))

    def let_go(self) -> None:
        """Let those go on that still stand."""
        for _, process in self._stopped:
            process.send(signal.SIGCONT)
