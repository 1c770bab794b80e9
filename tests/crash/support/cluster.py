"""A server, a receiver and any number of worker processes, and the hands to hurt them with."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from stepflow import Client, RunSpec, RunStatus
from stepflow.settings import RedisSettings, Settings, WebhookSettings
from tests.crash.support.receiver import Sink
from tests.crash.support.server import Server
from tests.crash.support.waiting import PATIENCE_S, until
from tests.fork_server import Forked, Program, shared_fork_server

ROOT = Path(__file__).resolve().parents[3]
HERE = ("127.0.0.0/8",)
#: the module of our own programs
OURS = "tests.crash.support.process"
#: modules that are forked off when they are named as a program: a tenth of a start's time
FORKED = {OURS, "stepflow"}


class Process:
    """One process of ours and its log."""

    #: the name of the worker, if it is one that `Cluster.worker` has started
    name: str | None = None

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        self.popen: subprocess.Popen[bytes] | Forked
        with log.open("ab") as output:
            if command[0] in FORKED:
                program = Program(command[0], command[1:], ROOT, environment)
                self.popen = shared_fork_server().start_session(program, output.fileno())
            else:
                self.popen = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    env=environment, start_new_session=True,
                )  # fmt: skip

    @property
    def said(self) -> str:
        """All it wrote."""
        return self.log.read_text(errors="replace")

    @property
    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def send(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the process alone, as the kernel would."""
        if self.is_alive:
            self.popen.kill()
        self.popen.wait()

    def kill_group(self) -> None:
        """SIGKILL to the process and all it started in its session."""
        if self.is_alive:
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Wait for its end and give the exit code."""
        until(
            lambda: not self.is_alive, what=f"the end of {self.popen.args}", patience_s=patience_s
        )
        return int(self.popen.returncode)

    def has_said(self, words: str, patience_s: float = PATIENCE_S) -> None:
        """Wait for words in its log."""
        until(
            lambda: words in self.said or not self.is_alive,
            what=f"{words!r} of {self.popen.args}",
            patience_s=patience_s,
        )
        assert words in self.said, (
            f"{self.popen.args} ended without saying {words!r}: {self.said[-2000:]}"
        )


class Gate:
    """
    Where steps of chains wait until they are let through, so that a test need not be in time.

    *file* is the payload's `gate`.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "gate"
        self.file = str(self._file)
        self.open(through=-1)

    def open(self, through: int = 1000) -> None:
        """Let steps with numbers up to *through* pass."""
        new = self._file.with_suffix(".new")
        new.write_text(str(through))
        new.replace(self._file)


class Cluster:
    """What one attack is about; as a context manager it leaves no process and no file."""

    def __init__(self, *, appendfsync: str = "always", **environment: object) -> None:
        # not pytest's folder: the path of a socket must be short
        self.folder = Path(tempfile.mkdtemp(prefix="sf-crash-"))
        self.server = Server(self.folder, appendfsync=appendfsync)
        self.sink = Sink()
        self.processes: list[Process] = []
        self.witness = self.folder / "witness"
        self.gate = Gate(self.folder)
        self.settings = Settings(
            redis=RedisSettings(retry_for_s=30.0), webhook=WebhookSettings(allow_cidrs=HERE)
        )
        self.environment = self._environment(environment)
        self.client = Client(self.server.url, settings=self.settings)

    def _environment(self, more: dict[str, object]) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STEPFLOW_", "REDIS_", "RQ_"))
        }
        settings = {
            "STEPFLOW_REDIS_URL": self.server.url,
            "STEPFLOW_APP": "tests.crash.support.app:app",
            "STEPFLOW_WEBHOOK_ALLOW_CIDRS": ",".join(HERE),
            "STEPFLOW_WEBHOOK_PER_HOST": "32",
            "STEPFLOW_WORKER_LEASE_S": "1.5",
            "STEPFLOW_WORKER_STOP_GRACE_S": "0.5",
            "STEPFLOW_WORKER_REDELIVER_AFTER_S": "1",
            "STEPFLOW_WORKER_GRACE_S": "5",
            "CRASH_WITNESS": str(self.witness),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }
        return kept | settings | {name: str(value) for name, value in more.items()}

    def __enter__(self) -> Self:
        self.witness.touch()
        self.server.start()
        self.sink.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        for process in self.processes:
            process.kill_group()
        self.client.close()
        self.sink.__exit__(kind, *exc)
        self.server.close()
        if os.environ.get("CRASH_KEEP"):
            print(f"kept: {self.folder}", file=sys.stderr)
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    # processes

    def spawn(self, *command: str, **environment: object) -> Process:
        """Start any program with the cluster's environment."""
        more = {name: str(value) for name, value in environment.items()}
        log = self.folder / f"{len(self.processes)}.log"
        process = Process(command, log, self.environment | more)
        self.processes.append(process)
        return process

    def program(self, what: str, *arguments: str, **environment: object) -> Process:
        """Start one of `tests/crash/support/process.py`."""
        return self.spawn(OURS, what, *arguments, **environment)

    def worker(self, *arguments: str, ready: bool = True, **environment: object) -> Process:
        """Start a worker; with *ready* wait until it listens."""
        if "--name" not in arguments:
            arguments = (*arguments, "--name", f"worker-{len(self.processes)}")
        process = self.program("worker", *arguments, **environment)
        process.name = arguments[arguments.index("--name") + 1]
        if ready:
            process.has_said("listens to")
        return process

    def rq(self, *arguments: str, **environment: object) -> Process:
        """Start RQ's own command line."""
        return self.spawn(sys.executable, "-m", "rq.cli", *arguments, **environment)

    # work

    def submit(self, specs: Iterable[RunSpec]) -> list[str]:
        """Submit many runs, each with the receiver's webhook."""
        hooked = [_with_hook(spec, self.sink) for spec in specs]
        return [run.id for run in self.client.submit_many(hooked)]

    def status(self, run_id: str) -> RunStatus:
        found = self.client.status(run_id)
        assert found is not None, run_id
        return found

    def reached(
        self, run_id: str, state: str, step: int = 0, patience_s: float = PATIENCE_S
    ) -> RunStatus:
        """Wait until a run stands in *state* at *step* or later."""

        def there() -> RunStatus | None:
            found = self.status(run_id)
            return found if found.state == state and found.step >= step else None

        return until(there, what=f"run {run_id} in {state} at {step}", patience_s=patience_s)

    def all_ended(self, run_ids: Iterable[str], also: Callable[[], object] | None = None) -> None:
        """
        Wait until every run has ended; *also* is called at each look.

        Patience is for the next of them to end: how long all take depends on the machine.
        """
        left = set(run_ids)

        def some_ended() -> bool:
            if also is not None:
                also()
            before = len(left)
            with self.server.client.pipeline(transaction=False) as pipe:
                order = sorted(left)
                for run_id in order:
                    pipe.hget(f"stepflow:run:{run_id}", "ended")
                left.difference_update(
                    run_id for run_id, ended in zip(order, pipe.execute(), strict=True) if ended
                )
            return len(left) < before

        while left:
            try:
                until(some_ended, what="a run to end", look_s=0.05)
            except AssertionError:
                shown = [self.client.status(run_id) for run_id in sorted(left)[:5]]
                raise AssertionError(f"{len(left)} runs are stuck, such as {shown}") from None


def _with_hook(spec: RunSpec, sink: Sink) -> RunSpec:
    return RunSpec(
        **{name: getattr(spec, name) for name in RunSpec.__slots__} | {"webhooks": [sink.webhook]}
    )
