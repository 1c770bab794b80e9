"""
A night's load of a hundred customers as one group: three fail, are mended, and only they run again.

    python examples/22_group.py

`client.groups.submit` is safe to repeat: it begins what has not begun, and nothing twice. Kill this
program while it submits, and the worker begins the rest.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from stepflow import PermanentError, RunSpec, Stepflow

app = Stepflow()

MENDED = Path(os.environ.get("MENDED", "mended"))


@app.job(name="load")
def load(customer: int) -> int:
    if customer % 40 == 0 and not MENDED.exists():
        raise PermanentError("the disk is full")
    return customer


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MENDED"] = str(Path(folder) / "mended")
        command = [sys.executable, "-m", "stepflow", "worker", "examples.22_group:app"]
        worker = subprocess.Popen(command)
        try:
            night(Path(os.environ["MENDED"]))
        finally:
            worker.terminate()
            worker.wait()


def night(mended: Path) -> None:
    groups = app.client.groups
    members = {f"customer-{n}": RunSpec("load", {"customer": n}) for n in range(100)}
    groups.submit("nightly", members)
    groups.submit("nightly", members)
    info = groups.wait("nightly", timeout=50)
    [failure] = info.failures
    print(f"{info.state}: {info.succeeded} succeeded, {failure.count} say {failure.error!r}")
    mended.touch()
    print("retried:", groups.retry_failed("nightly"))
    info = groups.wait("nightly", timeout=50)
    print(f"{info.state}: {info.succeeded} succeeded")


if __name__ == "__main__":
    main()
