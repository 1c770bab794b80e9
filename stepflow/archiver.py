"""
The process that archives beside a worker: at the lowest priority, so that steps go first.

A worker spends all of its one core on steps when there are enough of them. So what archives is
another process: the kernel lets the workers go first, and while steps run it leaves off most of the
time, for Redis serves both (`worker/archiving/pace.py`). It ends with its worker, however
that comes about: its standard input is a pipe that only the worker has open. Should user
code have forked off a process that has it as well, it sees in a second that its parent is another.
"""

from __future__ import annotations

import logging
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO

from stepflow.settings import Settings

log = logging.getLogger("stepflow.archive")

#: seconds until one that has ended is started again
AGAIN_S = 5.0
#: seconds that a burst waits for what is left to be archived
BURST_S = 60.0
#: and any other worker, for the batch under way
PATIENCE_S = 5.0
#: what such a process is told that is to archive what waits before it leaves
FINISH = b"f"
#: how long a written place is
_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Place:
    """A Redis whose ends are archived, and all settings; *level* and *is_json* are for the log."""

    url: str
    namespace: str
    settings: Settings
    level: str = "info"
    is_json: bool = False
    #: the process beside which it is done
    parent: int = field(default_factory=os.getpid)

    def write(self, to: IO[bytes]) -> None:
        """Write it for `read`."""
        written = pickle.dumps(self)
        to.write(_LENGTH.pack(len(written)) + written)
        to.flush()

    @classmethod
    def read(cls, descriptor: int) -> Place:
        """Read it from a pipe, and nothing more."""
        [length] = _LENGTH.unpack(_read(descriptor, _LENGTH.size))
        read: Place = pickle.loads(_read(descriptor, length))  # noqa: S301  the worker's own
        return read


def _read(descriptor: int, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = os.read(descriptor, count - len(found))
        if not more:
            raise EOFError("the worker has gone before it had said what to archive")
        found += more
    return found


@contextmanager
def beside(place: Place, *, burst: bool = False) -> Iterator[None]:
    """Have processes archive while this is entered, as many as the settings say."""
    processes = [_Process(place) for _ in range(place.settings.archive.processes)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.leave(finishes=burst)
        for process in processes:
            process.join(BURST_S if burst else PATIENCE_S)


class _Process:
    """One process that archives; should it end, another one takes its place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._leaving = threading.Event()
        self._finishes = False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="stepflow-archiver", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def leave(self, *, finishes: bool) -> None:
        self._finishes = finishes
        self._leaving.set()
        process = self._process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):  # it has ended
                if finishes:
                    process.stdin.write(FINISH)
                process.stdin.close()

    def join(self, patience_s: float) -> None:
        self._thread.join(patience_s)
        process = self._process
        if self._thread.is_alive() and process is not None:
            process.kill()  # whatever it had taken comes again

    def _keep(self) -> None:
        while not self._leaving.is_set():
            try:
                code = self._run()
            except OSError as error:  # no memory, no more processes
                log.error("no process can be started that archives: %s", error)
            else:
                if self._leaving.is_set():
                    return
                log.error("the process that archives ended with %s; it is started again", code)
            self._leaving.wait(AGAIN_S)

    def _run(self) -> int:
        """Run one process to its end."""
        process = subprocess.Popen(
            [sys.executable, "-m", "stepflow", "archive", "work", "--beside"],
            stdin=subprocess.PIPE,
        )
        assert process.stdin is not None
        with suppress(OSError):  # it has ended already
            self._place.write(process.stdin)
        self._process = process
        if self._leaving.is_set():  # told meanwhile
            self.leave(finishes=self._finishes)
        return process.wait()
