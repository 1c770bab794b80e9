"""Servers for one measurement each; their processes count as part of what is measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stepflow import embedded


class Unavailable(Exception):
    """Something that this machine does not have; the message says what."""


@contextmanager
def redis() -> Iterator[dict[str, str]]:
    """Run the embedded server, AOF everysec, on a socket; give the environment that leads to it."""
    with tempfile.TemporaryDirectory(prefix="stepflow-bench-") as folder:
        server = embedded.ensure(Path(folder))
        try:
            pid = (Path(folder) / "server.pid").read_text().strip()
            yield {"BENCH_REDIS": server.url, "BENCH_SERVER_PIDS": pid}
        finally:
            embedded.stop(Path(folder))


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """
    Run a PostgreSQL with its default durability, on a socket; give the environment that leads to
    it.
    """
    programs = _postgres_programs()
    # PostgreSQL refuses to run as root: then it runs as the user that its package made.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="stepflow-bench-") as folder:
        shutil.chown(folder, user=user or os.geteuid())
        data = f"{folder}/data"
        control = [f"{programs}/pg_ctl", "-D", data, "-w", "-l", f"{folder}/log"]
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=300"
        _quietly([f"{programs}/initdb", "-D", data, "-A", "trust", "-U", "bench"], user)
        _quietly([*control, "-o", options, "start"], user)
        try:
            pid = (Path(data) / "postmaster.pid").read_text().split()[0]
            yield {
                "BENCH_PG": f"postgresql://bench@/postgres?host={folder}",
                "BENCH_SERVER_PIDS": pid,
            }
        finally:
            _quietly([*control, "-m", "immediate", "stop"], user)


def _postgres_programs() -> Path:
    on_path = shutil.which("initdb")
    places = (
        [Path(on_path).parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    )
    if not places:
        raise Unavailable("PostgreSQL is not installed (no initdb)")
    return places[-1]


def _quietly(command: list[str], user: str | None) -> None:
    # To a file: a server that is started would keep a pipe open for ever.
    with tempfile.TemporaryFile() as said:
        if subprocess.call(command, stdout=said, stderr=said, cwd="/", user=user):
            said.seek(0)
            raise Unavailable(
                f"{command[0]}: {said.read().decode(errors='replace').strip().splitlines()[-1]}"
            )
