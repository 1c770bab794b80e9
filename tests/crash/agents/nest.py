"""
Keeps so many workers alive, forked off a process that has imported all they need.

`python -m tests.crash.agents.nest 3`: says "worker PID" for each. An agent's library takes seconds
to import, in which an attack could kill nobody.
"""

import argparse
import logging
import os
import sys

from stepflow.entry import load_app, work
from stepflow.worker.worker import WorkerOptions
from tests.crash.agents import app as loaded

#: runs at once in each worker
CONCURRENCY = 10
APP = "tests.crash.agents.app:app"


def hatch() -> int:
    pid = os.fork()
    if pid:
        print(f"worker {pid}", flush=True)
        return pid
    try:
        work(load_app(APP), WorkerOptions(concurrency=CONCURRENCY))
    finally:
        os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    count = parser.parse_args().count
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    assert loaded.agent.name
    for _ in range(count):
        hatch()
    while True:
        os.wait()
        hatch()


if __name__ == "__main__":
    sys.exit(main())
