"""An environment for each peer, made once, in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from benchmarks.peers.catalogue import PACKAGES, PYTHON
from benchmarks.servers import Unavailable


@cache
def interpreter(peer: str) -> Path:
    """Give the Python that has *peer* installed, after installing it if need be; raises Unavailable."""
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stepflow-bench"
    home, python, packages = cached / peer, _python(peer), PACKAGES[peer]
    stamp, wanted = home / "stepflow-bench", hashlib.sha256(f"{python} {packages}".encode()).hexdigest()
    if not (stamp.exists() and stamp.read_text() == wanted):
        print(f"installing {peer} into {home} ...", file=sys.stderr, flush=True)
        cached.mkdir(parents=True, exist_ok=True)
        _install(home, python, packages.split())
        stamp.write_text(wanted)
    return home / "bin" / "python"


def _python(peer: str) -> str:
    least = PYTHON.get(peer, (3, 11))
    newer = [shutil.which(f"python3.{minor}") for minor in (14, 13, 12)]
    for path in filter(None, [sys.executable, *newer]):
        # A name on PATH may be a stand-in for a version that is not installed: ask it for the real one.
        ask = [path, "-c", f"import sys; print(sys.version_info >= {least} and sys._base_executable or '')"]
        if found := subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip():
            return found
    raise Unavailable(f"it needs Python {'.'.join(map(str, least))}, which is not on PATH")


def _install(home: Path, python: str, packages: list[str]) -> None:
    target = str(home / "bin" / "python")
    if shutil.which("uv"):
        make, fill = (
            ["uv", "venv", "--clear", "--python", python, str(home)],
            ["uv", "pip", "install", "--python", target],
        )
    else:
        # Our own pip installs for it: its Python may have none.
        make = [python, "-m", "venv", "--clear", "--without-pip", str(home)]
        fill = [sys.executable, "-m", "pip", "--python", target, "install", "--quiet", "--disable-pip-version-check"]
    for command in (make, [*fill, *packages]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no reason given"]
            raise Unavailable(f"it cannot be installed: {said[-1]}")
