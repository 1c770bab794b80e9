"""
Starts the `stepflow` program in a tenth of the time: a server that has imported it forks it off.

What is forked is a process like any other: its own environment, folder, streams and signals, and
`stepflow` is run as `python -m stepflow` runs it. Only the modules are there already. Whoever tests
what is imported, or how Python itself starts, starts a Python.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).parents[1]
#: what most verbs import when they run
MODULES = (
    "stepflow.cli.main", "stepflow.cli.submit", "stepflow.cli.worker.command", "stepflow.cli.wait",
    "stepflow.cli.look.show", "stepflow.client", "stepflow.entry", "stepflow.kits.app",
    "stepflow.worker.worker", "stepflow.worker.single", "stepflow.supervisor",
    "stepflow.hooks.deliver",
    "stepflow.engine.inspect", "stepflow.cli.web", "stepflow.web.server",
    "stepflow.web.mount", "stepflow.web.pages", "uvicorn", "rich.table", "rich.live", "rq",
    "jsonschema",
)  # fmt: skip


class ForkServer:
    """The server, as tests see it."""

    def __init__(self, path: str) -> None:
        self._path = path

    def start(self, args: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Forked:
        """Start `stepflow` with *args*; what it says can be read from it."""
        out, err = os.pipe(), os.pipe()
        try:
            forked = Forked(self._path, Program("stepflow", args, cwd, env), out[1], err[1])
        finally:
            os.close(out[1])
            os.close(err[1])
        forked.stdout = os.fdopen(out[0], encoding="utf-8")
        forked.stderr = os.fdopen(err[0], encoding="utf-8")
        return forked

    def start_session(self, program: Program, output: int) -> Forked:
        """Start a program in a session of its own; it writes to the file *output*."""
        return Forked(self._path, program, output, output, session=True)


class Program(NamedTuple):
    """What `python -m module args` would run, in which folder and environment."""

    module: str
    args: Sequence[str]
    cwd: Path
    env: Mapping[str, str]


class Forked:
    """A program that was forked off; it has what tests use of `subprocess.Popen`."""

    stdout: IO[str]
    stderr: IO[str]

    def __init__(
        self, path: str, program: Program, out: int, err: int, *, session: bool = False
    ) -> None:
        self.args = [program.module, *program.args]
        self.returncode: int | None = None
        self._said: tuple[str, str] | None = None
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(path)
        wanted = program._asdict() | {
            "args": list(program.args), "cwd": str(program.cwd), "env": dict(program.env),
            "session": session,
        }  # fmt: skip
        socket.send_fds(self._server, [b"+"], [out, err])
        self._server.sendall(json.dumps(wanted).encode() + b"\n")
        self._answers = self._server.makefile()
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """Give the exit code of one that has ended."""
        if self.returncode is None and select.select([self._server], [], [], 0)[0]:
            self.returncode = int(self._answers.readline())
            self._answers.close()
            self._server.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        if self.returncode is None and not select.select([self._server], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        self.poll()
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Read what it says to its end."""
        if self._said is None:
            until = None if timeout is None else time.monotonic() + timeout
            said: dict[int, str] = {}

            def read(number: int, stream: IO[str]) -> None:
                said[number] = stream.read()

            readers = [
                threading.Thread(target=read, args=each, daemon=True)
                for each in enumerate((self.stdout, self.stderr))
            ]
            for reader in readers:
                reader.start()
            for reader in readers:
                reader.join(None if until is None else max(0.0, until - time.monotonic()))
                if reader.is_alive():
                    raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.wait(timeout)
            self._said = said[0], said[1]
            self.stdout.close()
            self.stderr.close()
        return self._said

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


@cache
def shared_fork_server() -> ForkServer:
    """Give the server of this process, which ends with it."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(fork_server())


@contextmanager
def fork_server() -> Iterator[ForkServer]:
    """Run a server; it ends with the context, and with whoever entered that."""
    with tempfile.TemporaryDirectory(prefix="sf-fork-") as folder:
        path = f"{folder}/socket"
        with subprocess.Popen(
            [sys.executable, __file__, path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=without_settings() | {"PYTHONPATH": str(ROOT)},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield ForkServer(path)
            assert process.stdin is not None
            process.stdin.close()


def without_settings() -> dict[str, str]:
    """Give this environment without what sets stepflow."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("STEPFLOW_", "REDIS_URL"))
    }


# the server


def serve(path: str) -> dict[str, Any]:
    """Fork off what is asked for; comes back in each program that is forked off."""
    for name in MODULES:
        import_module(name)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            os._exit(0)
        asked, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return attend(asked)
        asked.close()
        while _reap():
            pass


def _reap() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def attend(asked: socket.socket) -> dict[str, Any]:
    """Start a program, say its pid and how it ended; comes back in the program."""
    _, fds, _, _ = socket.recv_fds(asked, 1, 2)
    with asked.makefile() as lines:
        wanted: dict[str, Any] = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        asked.close()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (fds[0], 1), (fds[1], 2)):
            os.dup2(source, target)
        for each in (nothing, *fds):
            os.close(each)
        if wanted["session"]:
            os.setsid()
        return wanted
    for each in fds:
        os.close(each)
    asked.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    asked.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(wanted: dict[str, Any]) -> None:
    """Be what `python -m stepflow` would be, started in that folder with that environment."""
    # two versions of a file within a second may look alike to Python, and tests write such
    sys.dont_write_bytecode = True
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["cwd"])
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.stdin = sys.__stdin__ = os.fdopen(0)
    sys.stdout = sys.__stdout__ = _stream(1, "strict")
    sys.stderr = sys.__stderr__ = _stream(2, "backslashreplace")
    sys.argv = [wanted["module"], *wanted["args"]]
    more = wanted["env"].get("PYTHONPATH", "").split(os.pathsep)
    sys.path[0:1] = [wanted["cwd"], *(each for each in more if each and each not in sys.path)]
    try:
        runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)
    except SystemExit as left:
        leave(left.code)


def leave(code: object) -> None:
    """End as the interpreter does, but for taking apart all the modules, which takes it long."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code or 0)


def _stream(fd: int, errors: str) -> Any:
    stream = os.fdopen(fd, "w", encoding="utf-8", errors=errors, closefd=False)
    stream.reconfigure(write_through=True)
    return stream


if __name__ == "__main__":
    become(serve(sys.argv[1]))
