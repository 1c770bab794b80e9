"""An environment for each peer, made once, in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.peers.catalogue import NODE_PACKAGES, PACKAGES, PYTHON, SHUT_IN
from benchmarks.servers import Unavailable


def command(peer: str) -> list[str]:
    """
    Give what starts a Python that has *peer* installed, after installing it if need be; raises
    Unavailable.
    """
    found = _made(peer)
    if isinstance(found, Unavailable):
        raise found
    return [*(_shut_in() if peer in SHUT_IN else []), str(found / "bin" / "python")]


@cache
def _made(peer: str) -> Path | Unavailable:
    # What went wrong is remembered, too: it is asked for once a line.
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stepflow-bench"
    home = cached / peer
    try:
        python, packages, of_node = (
            _python(peer),
            PACKAGES[peer].split(),
            NODE_PACKAGES.get(peer, "").split(),
        )
        stamp, wanted = (
            home / "stepflow-bench",
            hashlib.sha256(f"{python} {packages} {of_node}".encode()).hexdigest(),
        )
        if not (stamp.exists() and stamp.read_text() == wanted):
            print(f"installing {peer} into {home} ...", file=sys.stderr, flush=True)
            cached.mkdir(parents=True, exist_ok=True)
            _install(home, python, packages)
            if of_node:
                _run(
                    [
                        "npm",
                        "install",
                        "--prefix",
                        str(home),
                        "--ignore-scripts",
                        "--no-audit",
                        "--no-fund",
                        *of_node,
                    ]
                )
            stamp.write_text(wanted)
    except Unavailable as reason:
        return reason
    return home


def _python(peer: str) -> str:
    least = PYTHON.get(peer, (3, 11))
    newer = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    for path in filter(None, [sys.executable, *newer]):
        # A name on PATH may be a stand-in for a version that is not installed: ask it for the real
        # one.
        ask = [
            path,
            "-c",
            f"import sys; print(sys.version_info >= {least} and sys._base_executable or '')",
        ]
        if found := subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip():
            return found
    raise Unavailable(f"it needs Python {'.'.join(map(str, least))}, which is not on PATH")


def _install(home: Path, python: str, packages: list[str]) -> None:
    target = str(home / "bin" / "python")
    if shutil.which("uv"):
        _run(["uv", "venv", "--clear", "--python", python, str(home)])
        _run(["uv", "pip", "install", "--python", target, *packages])
        return
    # Our own pip installs for it: its Python may have none.
    pip = [sys.executable, "-m", "pip", "--python", target, "--disable-pip-version-check"]
    _run([python, "-m", "venv", "--clear", "--without-pip", str(home)])
    _run([*pip, "install", "--quiet", *packages])


def _shut_in() -> list[str]:
    """
    Give what a command is put behind to have a network of its own, with nothing but the loopback on
    it.
    """
    shell = 'ip link set lo up && exec "$@"'
    behind = ["unshare", "-n" if os.geteuid() == 0 else "-rn", "sh", "-c", shell, "sh"]
    _run([*behind, "true"])
    return behind


def _run(words: list[str]) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Unavailable(f"it needs {words[0]}, which is not on PATH") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise Unavailable(f"{words[0]} failed: {said[-1]}")
