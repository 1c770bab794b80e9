"""
The life of the embedded server, seen by the processes that use it.

Two locked files in its folder say who is there. `lock` is held by the server process from its birth
to its death, for it inherits the descriptor: whoever can take it knows that no server lives and may
start one, so neither a lost socket nor a frozen server ever leads to a second server on the same
data. `users` is held, shared, by every process that joined: one that ends and can take it alone was
the last and shuts the server down. Killed processes lose both without doing anything; a server that
lost all its users that way stays up, and the next one joins it.
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

#: seconds a server that lives may leave us without an answer; one that says it is loading is waited
#: for
PATIENCE_S = 10.0
#: seconds between two looks at a server that comes or goes
LOOK_S = 0.01

#: the descriptor of `users` for every folder this process has joined
_seats: dict[Path, int] = {}
#: the same for the child of a fork that is under way
_spares: dict[Path, int] = {}
#: the servers that are children of this process, to be reaped
_children: dict[Path, int] = {}
#: held over every change of those above, and by a fork: a child must not inherit `lock` half way
#: through a start
_guard = threading.RLock()


@dataclass(frozen=True, slots=True)
class Server:
    """
    A server that answered.

    *url* is for redis-py, *name* like "Valkey 9.1.2", *started* says whether we did it.
    """

    url: str
    home: Path
    name: str
    started: bool

    def describe(self) -> str:
        """Say in one line what serves and where the data is."""
        how = "started" if self.started else "already running"
        return f"embedded {self.name} ({how}), data in {self.home}"


def ensure(
    home: Path | None = None, *, appendfsync: Literal["always", "everysec"] = "everysec"
) -> Server:
    """
    Join the server of *home* (STEPFLOW_HOME, else `./.stepflow`), or start it.

    Costs one PING when it runs, some 50 ms when it does not; may be called as often as you like,
    also to bring back a server that was killed. The server stays up until the last process that
    called this has ended. *appendfsync* "always" also makes a running server stricter; nothing
    makes it laxer. Raises EmbeddedServerError.
    """
    folder = _locate(home)
    with _guard:
        try:
            _prepare(folder)
            if folder not in _seats:
                _seats[folder] = _take_a_seat(folder)
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
    """Return the server of *home* when it answers, without joining it."""
    folder = _locate(home)
    stamp = read_stamp(folder)
    # BUSY is a server that is held up by a long script.
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
    Shut the server of *home* down, whoever uses it, and wait for its end.

    False when none was running.
    """
    folder = _locate(home)
    with _guard:
        return read_stamp(folder) is not None and _shut_down(folder)


def release(home: Path | None = None) -> bool:
    """
    Take back what `ensure` did.

    True when this process was the last user and has shut the server down.

    Happens by itself when the process ends normally.
    """
    folder = _locate(home)
    with _guard:
        seat = _seats.pop(folder, None)
        if seat is None:
            return False
        try:
            fcntl.flock(seat, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _shut_down(folder)
        except BlockingIOError:
            return False
        finally:
            os.close(seat)


def _locate(home: Path | None) -> Path:
    return Path(home or os.environ.get("STEPFLOW_HOME") or ".stepflow").absolute()


def _prepare(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def _take_a_seat(folder: Path) -> int:
    """
    Count this process among the users.

    Waits while the last of them is shutting the server down.
    """
    seat = os.open(folder / "users", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(seat, fcntl.LOCK_SH)
    except OSError:
        os.close(seat)
        raise
    return seat


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
    Hold the lock of the server's life for the block.

    None when a server has it, or a process that starts one.
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
    """Return the server's answer to one command; empty when there is none, for whatever reason."""
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
    """Clear the process table of a server that has ended and was a child of ours."""
    with suppress(KeyError, ChildProcessError):
        os.waitpid(_children.pop(folder), os.WNOHANG)


def _release_all() -> None:
    for folder in list(_seats):
        with suppress(OSError, EmbeddedServerError):
            release(folder)


def _before_fork() -> None:
    """
    Take a second seat, for the child.

    With its parent's it would count for nothing, or end the server under it.

    Taken before the fork, for the parent may end before the child gets to run.
    """
    _guard.acquire()
    for folder in _seats:
        with suppress(OSError):
            _spares[folder] = _take_a_seat(folder)


def _after_fork_in_parent() -> None:
    _close_all(_spares)
    _guard.release()


def _after_fork_in_child() -> None:
    _close_all(_seats)
    _seats.update(_spares)
    _spares.clear()
    _children.clear()
    _guard.release()


def _close_all(seats: dict[Path, int]) -> None:
    while seats:
        os.close(seats.popitem()[1])


atexit.register(_release_all)
os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
