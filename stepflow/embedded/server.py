"""
The life of the embedded server, as seen by the processes that use it.

Two locked files in its folder tell who is there. The server process has `lock` from its start to
its death, for it inherits the descriptor. Whoever can take that lock knows that no server is alive
and may start one, so neither a lost socket nor a frozen server ever leads to a second server on the
same data. Every process that joined has a shared lock on `users`. A process that ends and can lock
`users` alone was the last one, and shuts the server down. A killed process loses both locks without
doing anything. A server that lost all its users that way stays up, and the next process joins it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from stepflow.embedded.launch import launch, log_tail, read_stamp
from stepflow.errors import EmbeddedServerError

#: seconds that a live server may take to answer; while it says that it is loading, we wait longer
PATIENCE_S = 10.0
#: seconds between two looks at a server that comes or goes
LOOK_S = 0.01

#: the descriptor of `users` for every folder that this process has joined
_memberships: dict[Path, int] = {}
#: the same for the child of a fork in progress
_spares: dict[Path, int] = {}
#: the servers that are child processes of this one, to be reaped
_children: dict[Path, int] = {}
#: guards the three above, and is taken around a fork: a child must not inherit `lock` in the middle
#: of a start
_guard = threading.RLock()


@dataclass(frozen=True, slots=True)
class Server:
    """
    A server that answered.

    *url* is a Redis URL, *name* is like "Valkey 9.1.2", *started* is True when this call started
    it.
    """

    url: str
    home: Path
    name: str
    started: bool

    def describe(self) -> str:
        """Write in one line which server it is and where its data is."""
        how = "started" if self.started else "already running"
        return f"embedded {self.name} ({how}), data in {self.home}"


def ensure(
    home: Path | None = None, *, appendfsync: Literal["always", "everysec"] = "everysec"
) -> Server:
    """
    Join the server of *home* (STEPFLOW_HOME, else `./.stepflow`), or start it.

    Costs one PING when it runs, some 50 ms when it does not. Call it as often as you like, also to
    bring back a server that was killed. The server stays up until the last process that called this
    has ended. *appendfsync* "always" also makes a running server stricter; nothing makes it laxer.
    Raises EmbeddedServerError.
    """
    folder = locate(home)
    with _guard:
        try:
            _prepare(folder)
            if folder not in _memberships:
                _memberships[folder] = _join_users(folder)
            server = _join_or_start(folder, appendfsync)
        except OSError as error:
            problem = (
                f"the embedded server cannot use {folder} ({error.strerror or error}); set "
                "STEPFLOW_HOME"
            )
            raise EmbeddedServerError(problem) from error
    if appendfsync == "always" and not server.started:
        _ask(folder, "CONFIG SET appendfsync always")
    return server


def status(home: Path | None = None) -> Server | None:
    """Return the server of *home* if it answers, without joining it; else None."""
    folder = locate(home)
    stamp = read_stamp(folder)
    # a server answers BUSY while it runs a long script
    if stamp is None or not _ask(folder, "PING").startswith((b"+PONG", b"-BUSY")):
        return None
    return Server(
        f"unix://{quote(stamp.socket)}?db=0",
        folder,
        f"{stamp.family} {stamp.version}",
        started=False,
    )


def stop(home: Path | None = None) -> bool:
    """
    Shut the server of *home* down, even if others use it, and wait for its end.

    False when none was running.
    """
    folder = locate(home)
    with _guard:
        return read_stamp(folder) is not None and _shut_down(folder)


def release(home: Path | None = None) -> bool:
    """
    Leave the server that `ensure` joined; a process that ends normally does so by itself.

    True when this process was the last user and has shut the server down.
    """
    folder = locate(home)
    with _guard:
        membership = _memberships.pop(folder, None)
        if membership is None:
            return False
        try:
            fcntl.flock(membership, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _shut_down(folder)
        except BlockingIOError:
            return False
        finally:
            os.close(membership)


def locate(home: Path | None) -> Path:
    """Return the folder of the server: *home*, STEPFLOW_HOME, else `./.stepflow`."""
    return Path(home or os.environ.get("STEPFLOW_HOME") or ".stepflow").absolute()


def _prepare(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def _join_users(folder: Path) -> int:
    """
    Lock `users`, shared, so that this process counts among the users; return the descriptor.

    Waits while the last user is shutting the server down.
    """
    membership = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(membership, fcntl.LOCK_SH)
    except OSError:
        os.close(membership)
        raise
    return membership


def _join_or_start(folder: Path, appendfsync: str) -> Server:
    started = False
    patience = time.monotonic() + PATIENCE_S
    while not (server := status(folder)):
        with _lock(folder) as lock:
            if lock is not None and started:
                _reap(folder)
                raise EmbeddedServerError(
                    f"the embedded server ended while starting; its log:\n{log_tail(folder)}"
                )
            if lock is not None:
                _children[folder] = launch(folder, lock, appendfsync)
                started = True
        if _ask(folder, "PING").startswith(b"-LOADING"):
            patience = time.monotonic() + PATIENCE_S
        _wait_a_little(folder, patience)
    return replace(server, started=started)


def _shut_down(folder: Path) -> bool:
    if _is_free(folder):
        return False
    patience = time.monotonic() + PATIENCE_S
    _ask(folder, "SHUTDOWN NOSAVE", timeout_s=PATIENCE_S)
    while not _is_free(folder):
        _wait_a_little(folder, patience)
    _reap(folder)
    return True


def _wait_a_little(folder: Path, patience: float) -> None:
    if time.monotonic() > patience:
        raise EmbeddedServerError(
            f"the embedded server in {folder} runs but does not answer; see server.log there, "
            "or kill the process named in server.pid"
        )
    time.sleep(LOOK_S)


@contextmanager
def _lock(folder: Path) -> Iterator[int | None]:
    """
    Take the server's `lock` for the block and yield its descriptor.

    Yields None when a server has the lock, or a process that starts one.
    """
    with (folder / "lock").open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock = file.fileno()
        except BlockingIOError:
            lock = None
        yield lock


def _is_free(folder: Path) -> bool:
    with _lock(folder) as lock:
        return lock is not None


def _ask(folder: Path, command: str, timeout_s: float = 1.0) -> bytes:
    """Return the server's answer to one command, b"" when there is none."""
    stamp = read_stamp(folder)
    if stamp is None:
        return b""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(timeout_s)
        wire.connect(stamp.socket)
        wire.sendall(command.encode() + b"\r\n")
        return wire.recv(512)
    return b""


def _reap(folder: Path) -> None:
    """Reap the process of a server that has ended and was a child of ours."""
    with suppress(KeyError, ChildProcessError):
        os.waitpid(_children.pop(folder), os.WNOHANG)


def _release_all() -> None:
    for folder in list(_memberships):
        with suppress(OSError, EmbeddedServerError):
            release(folder)


def _before_fork() -> None:
    """
    Lock `users` once more, for the child.

    With its parent's descriptor the child would not count as a user of its own. The lock is taken
    before the fork, because the parent may end before the child gets to run.
    """
    _guard.acquire()
    for folder in _memberships:
        with suppress(OSError):
            _spares[folder] = _join_users(folder)


def _after_fork_in_parent() -> None:
    _close_all(_spares)
    _guard.release()


def _after_fork_in_child() -> None:
    _close_all(_memberships)
    _memberships.update(_spares)
    _spares.clear()
    _children.clear()
    _guard.release()


def _close_all(memberships: dict[Path, int]) -> None:
    while memberships:
        os.close(memberships.popitem()[1])


atexit.register(_release_all)
os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
