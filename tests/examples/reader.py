"""
The reader of the README and the tutorial.

It does what they say (writes the files, starts the workers, types the commands), and compares what
is printed.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from pathlib import Path

from tests.examples.pages import ROOT, walk

#: what differs from run to run, and what it is compared as
MASKS = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( UTC)?", "<time>"),
    (r"sf-[0-9a-f]{10}", "<worker>"),  # before spans: a name may end in 010d
    (r"\d+(\.\d+)? ?(ms|s|min|h|d)\b", "<span>"),
    (r"-{3,}", "---"),
    (r" +", " "),
    (r": (delivered|buffered)$", ": <taken>"),
)
#: commands that change nothing are typed again until they print what the page says
LOOKS = re.compile(
    r"stepflow (list|show|why|questions|workers|runners|queues|hooks|doctor|events|bulk list)\b"
    r"|(cat|tail) |curl -s localhost\S+$"
)
#: seconds until what a page says must have come true
PATIENCE_S = 60


class Reader:
    """Does what a page says, in a folder of its own."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home = home
        self.environment = {
            **environment, "STEPFLOW_HOME": str(home / "server"),
            "PYTHONPATH": f"{home}{os.pathsep}{ROOT}", "COLUMNS": "120",
            "PYTEST_ADDOPTS": "-p no:randomly -p no:valkey -p no:cacheprovider",
        }  # fmt: skip
        self.masks = MASKS
        self.workers: dict[str, subprocess.Popen[str]] = {}

    def read(self, page: Path) -> None:
        actions = list(walk(page))
        # all files first: `stepflow dev` restarts its worker for each, amid a command
        for action, what, text in actions:
            if action == "write":
                file = self.home / what
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        for action, what, text in actions:
            match action:
                case "start":
                    self.start(what)
                case "stop":
                    self.stop()
                case "type":
                    self.type(what, text)

    def start(self, command: str) -> None:
        if command in self.workers:
            return
        log = self.home / f"{len(self.workers)}.log"
        with log.open("w") as out:
            self.workers[command] = subprocess.Popen(
                command, shell=True, cwd=self.home, env=self.environment, text=True,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        ready = "listens to " if command.startswith("stepflow") else "running on http"
        self.until(lambda: ready in log.read_text(), f"{command}: {log.read_text()}")

    def stop(self) -> None:
        for command, worker in self.workers.items():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, 2)
            assert worker.wait(timeout=60) in (0, -2, 130), command
        self.workers = {}

    def type(self, command: str, printed: str) -> None:
        shown = self.run(command)
        end = time.monotonic() + PATIENCE_S
        said = self._masked(printed)
        while self._masked(shown) != said and LOOKS.match(command) and time.monotonic() < end:
            time.sleep(0.1)
            shown = self.run(command)
        assert self._masked(shown) == said, f"$ {command}\n{shown}"

    def run(self, command: str) -> str:
        done = subprocess.run(
            command, shell=True, cwd=self.home, env=self.environment, text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        return done.stdout

    def _masked(self, text: str) -> list[str]:
        for pattern, name in self.masks:
            text = re.sub(pattern, name, text, flags=re.MULTILINE)
        return [line.rstrip() for line in text.rstrip().splitlines()]

    @staticmethod
    def until(holds, what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(what)
            time.sleep(0.1)
