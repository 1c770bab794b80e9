"""Servers for one measurement each; their processes count as part of what is measured."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as redis_py

from benchmarks import common as c
from stepflow import embedded
from stepflow.embedded.launch import _find_binary


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
def replica(primary: redis_py.Redis, appendfsync: str) -> Iterator[None]:
    """Run a replica of *primary*, beside it, and wait until it has everything, also on disk."""
    port, own = (c.free_port() for _ in range(2))
    primary.config_set("bind", "127.0.0.1")
    primary.config_set("port", port)
    primary.config_set("repl-diskless-sync-delay", 0)
    with tempfile.TemporaryDirectory(prefix="stepflow-bench-") as folder:
        options = (
            f"--port {own} --bind 127.0.0.1 --dir {folder} --appendonly yes "
            f"--appendfsync {appendfsync} --replicaof 127.0.0.1 {port}"
        )
        process = subprocess.Popen(
            [_find_binary()[0], *options.split(), "--save", ""], stdout=subprocess.DEVNULL
        )
        try:
            for _ in range(600):
                primary.set("bench:replica", "")
                if primary.execute_command("WAITAOF", 0, 1, 1000)[1]:
                    break
                time.sleep(0.1)
            else:
                raise Unavailable("the replica was not there within a minute")
            yield
        finally:
            process.kill()
            process.wait()
            primary.config_set("port", 0)


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
