"""
A PostgreSQL of the tests' own, in a temporary folder, over a socket.

Where Debian's `postgresql` is not installed the tests that ask for it are skipped, and in CI they
fail. It refuses to run as root: then it is started as the user `postgres`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: what it does without because nothing has to outlive the machine
_FAST = "-c fsync=off -c full_page_writes=off -c listen_addresses= -c max_connections=50"


class Postgres:
    """A server that can be stopped, killed and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    def make(self) -> None:
        self._call("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C",
                   "--username=postgres")  # fmt: skip

    def start(self) -> None:
        options = f"{_FAST} -c unix_socket_directories={self._folder}"
        self._call("pg_ctl", "start", "-w", "-t", "60", "-o", options, "-l",
                   str(self._folder / "log"))  # fmt: skip

    def stop(self, how: str = "fast") -> None:
        """*how*: `fast` ends what is under way, `immediate` is a crash."""
        self._call("pg_ctl", "stop", "-w", "-t", "60", "-m", how)

    def _call(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), "-D", str(self._folder / "data"), *arguments],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._folder,
            **({"user": "postgres", "group": "postgres", "extra_groups": []}
               if os.geteuid() == 0 else {}),
        )  # fmt: skip


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Give a fresh server, started."""
    folder = Path(tempfile.mkdtemp(prefix="sfpg"))
    server = Postgres(_programs(), folder)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Give the folder of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    if on_path:
        return Path(on_path).parent
    why = "PostgreSQL is not installed here; Debian's package `postgresql` has it"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def _version(path: Path) -> int:
    name = path.parent.parent.name
    return int(name) if name.isdigit() else 0
