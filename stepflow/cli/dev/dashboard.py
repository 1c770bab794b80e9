"""The dashboard beside `stepflow dev`: a child process, where the extra `web` is installed."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

#: where it listens, unless somebody does already
PORT = 8170
#: seconds that it has to leave
_LEAVES_S = 5.0
_NEEDED = ("jinja2", "starlette", "uvicorn")


class Dashboard:
    """`stepflow web` with *options*; what it prints goes to *say*."""

    def __init__(self, options: Sequence[str], say: Callable[[str], None]) -> None:
        self._options, self._say = options, say
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            self._say("there is no dashboard: pip install 'stepflow-rq[web]'")
            return self
        command = [sys.executable, "-m", "stepflow", "web", *self._options]
        # a session of its own: Ctrl-C reaches us alone, and we stop the child; should we be killed,
        # the pipe is closed all the same, and it leaves by itself
        self._child = subprocess.Popen(
            [*command, "--port", str(_port()), "--leave-at-eof"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(self._child,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(_LEAVES_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _read(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            self._say(line.rstrip("\n"))
        child.stdout.close()


def _port() -> int:
    """Give PORT, or one that is free where somebody listens there."""
    with socket.socket() as probe:
        return 0 if probe.connect_ex(("127.0.0.1", PORT)) == 0 else PORT
