"""
What a client costs before it does anything: distributions that pip installs, and time to import.

`python -m benchmarks.imports` makes an empty environment for each in a temporary folder; it needs a
package index. Each import is the best of 20 fresh processes, in CPU time, its bytecode compiled.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

#: what is installed, and the import of a program that only submits
PEERS = {
    "stepflow": (str(Path(__file__).parents[1]), "from stepflow import Client"),
    "rq": ("rq", "from redis import Redis; from rq import Queue"),
    "celery": ("celery[redis]", "from celery import Celery; Celery"),
    "dbos": ("dbos", "from dbos import DBOSClient"),
    "temporalio": ("temporalio", "from temporalio.client import Client"),
}
REPEATS = 20


def cpu_s(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run(command, check=True, env=env, cwd="/")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, (package, code) in PEERS.items():
            place = Path(folder) / name
            python = str(place / "bin" / "python")
            subprocess.run([sys.executable, "-m", "venv", place], check=True)
            pip = [python, "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", package], check=True)
            subprocess.run([python, "-m", "compileall", "-q", place / "lib"], check=False)
            listed = subprocess.run(
                [*pip, "list", "--format", "json"], check=True, capture_output=True
            )
            names = {one["name"] for one in json.loads(listed.stdout)} - {"pip", "setuptools"}
            best = min(cpu_s([python, "-c", code]) for _ in range(REPEATS))
            bare = min(cpu_s([python, "-c", "pass"]) for _ in range(REPEATS))
            print(
                f"{name:12} {len(names):3} distributions  import {1000 * best:4.0f} ms, "
                f"Python itself {1000 * bare:.0f} ms"
            )


if __name__ == "__main__":
    main()
