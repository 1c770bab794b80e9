"""The worker of `stepflow dev`: a child process that restarts when the app's files change."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from stepflow.supervisor import PATIENCE_S, ReadyPipe

#: folders that hold no code of the app
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "build", "dist"}


class ReloadedWorker:
    """
    A `stepflow worker` process for *target*; `look` restarts it after a change.

    It also restarts a worker that ended in the middle of its work. One that ended before it took
    any claims, for a mistake in a file say, waits for the next change. *data* gives the files that
    count besides code.
    """

    def __init__(
        self,
        target: str,
        options: Sequence[str],
        say: Callable[[str], None],
        *,
        grace_s: float = 30.0,
        data: Callable[[], Iterable[Path]] = list,
    ) -> None:
        self._command = [sys.executable, "-m", "stepflow", "worker", target, *options]
        self._say = say
        self._grace_s = grace_s
        self._roots, self._data = list(source_roots(target)), data
        self._seen = self._stamps()
        self._child: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._ready: ReadyPipe | None = None
        self._has_reported_end = False

    @property
    def watched(self) -> str:
        """The folders that are watched."""
        return ", ".join(str(root) for root in self._roots) or "nothing"

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def look(self) -> None:
        """Restart the child if the code has changed, or if it ended in the middle of its work."""
        stamps = self._stamps()
        if stamps != self._seen:
            changed = sorted(
                path.name
                for path in {*stamps, *self._seen}
                if stamps.get(path) != self._seen.get(path)
            )
            self._seen = stamps
            self._say(f"changed: {', '.join(changed[:5])}; restarting the worker")
            self._end()
            self._start()
            return
        code = None if self._child is None else self._child.poll()
        if code is None or self._has_reported_end:
            return
        if self._ready is not None and self._ready.close():
            self._ready = None
            self._say(f"the worker ended with {code}; starting another")
            self._start()
        else:
            self._ready, self._has_reported_end = None, True
            self._say(f"the worker ended with {code}; it starts again when a file changes")

    def _start(self) -> None:
        # a session of its own: Ctrl-C reaches us alone, and we stop the child; it stops by itself
        # should we be killed
        self._ready = ReadyPipe()
        self._child = subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            pass_fds=[self._ready.writer],
            env={**os.environ, **self._ready.environment},
        )
        self._ready.is_passed()
        self._has_reported_end = False
        self._reader = threading.Thread(target=self._read, args=(self._child,), daemon=True)
        self._reader.start()

    def _read(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            self._say(line.rstrip("\n"))
        child.stdout.close()

    def _end(self) -> None:
        """
        Stop the child gracefully.

        A second Ctrl-C kills it, and its steps run again at the next start.
        """
        child = self._child
        if child is None:
            return
        try:
            child.terminate()
            child.wait(timeout=self._grace_s + PATIENCE_S)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            child.kill()
            child.wait()
        if self._ready is not None:
            self._ready.close()
            self._ready = None
        if self._reader is not None:
            self._reader.join(timeout=5)

    def _stamps(self) -> dict[Path, int]:
        """Return every source file with the time of its last change."""
        found = {}
        sources = (each for root in self._roots for each in _sources(root))
        for path in (*sources, *self._data()):
            with suppress(OSError):
                found[path] = path.stat().st_mtime_ns
        return found


def source_roots(target: str) -> Iterator[Path]:
    """Yield the folders to watch: that of the top package of *target*, or of its module."""
    top = target.partition(":")[0].partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None:
        return
    if spec.submodule_search_locations:
        yield from (Path(place).resolve() for place in spec.submodule_search_locations)
    elif spec.origin:
        yield Path(spec.origin).resolve().parent


def _sources(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
    for place, folders, files in os.walk(folder):
        hidden = {
            name
            for name in folders
            if name in _SKIPPED
            or name.startswith(".")
            or (Path(place) / name / "pyvenv.cfg").exists()
        }
        folders[:] = [name for name in folders if name not in hidden]
        yield from (Path(place) / name for name in files if name.endswith(".py"))
