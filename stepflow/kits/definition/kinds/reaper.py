"""
Programs end with their worker, also when that is killed: a shell beside it sees to that.

The shell waits for the end of a pipe that only the worker has. Each program first writes its
process group into a folder; once the worker is gone the shell kills the groups that stand there,
and takes the folder away. A program that comes later than that finds no folder and does not begin.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

#: notes the process group and becomes the program: $0 is the folder, the rest is the program
_BEGIN = ': > "$0/$$" || exit 125; exec "$@"'
#: waits for the end of the worker, and then ends what is left
_REAP = """
trap '' HUP INT TERM
read -r _
while ! rmdir "$0" 2>/dev/null; do
  [ -d "$0" ] || exit 0
  for noted in "$0"/*; do
    kill -KILL "-${noted##*/}" 2>/dev/null
    rm -f "$noted" || exit 1
  done
done
"""


#: seconds that a worker which ends gives the reaper
LET_GO_S = 5.0


class Reaper:
    """What ends the programs of this process when it is gone."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="stepflow-scripts-"))
        # in a session of its own: what ends the worker's group does not reach it
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _REAP, str(self._folder)], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", start_new_session=True,
        )  # fmt: skip

    @property
    def is_there(self) -> bool:
        """Whether it is still at work: somebody may have ended it."""
        return self._shell.poll() is None

    def begin(self, argv: Sequence[str]) -> list[str]:
        """Give the command that begins a program, in a process group of its own."""
        return ["/bin/sh", "-c", _BEGIN, str(self._folder), *argv]

    def forget(self, group: int) -> None:
        """Take note that a process group has ended."""
        with suppress(OSError):
            (self._folder / str(group)).unlink(missing_ok=True)

    def let_go(self) -> None:
        """
        End what is left now, and the reaper with it; after that nothing begins.

        A process that user code forked off, and that still runs, may hold the pipe open: the reaper
        waits for that one too, and this waits LET_GO_S for the reaper at most.
        """
        with suppress(subprocess.TimeoutExpired):
            self._shell.communicate(timeout=LET_GO_S)


def reaper() -> Reaper:
    """Give the reaper of this process, which begins with its first program."""
    found = _reaper_of(os.getpid())
    if not found.is_there:
        _reaper_of.cache_clear()
        found = _reaper_of(os.getpid())
    return found


@cache
def _reaper_of(process: int) -> Reaper:
    made = Reaper()
    atexit.register(_end, made, process)
    return made


def _end(made: Reaper, process: int) -> None:
    """End with the process in good order; one that was forked off it has a reaper of its own."""
    if os.getpid() == process:
        made.let_go()
