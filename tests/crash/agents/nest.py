"""
Keeps so many workers alive, forked off a process that has imported all they need.

`python -m tests.crash.agents.nest 3 [tests.crash.agents.narrator:app [CONCURRENCY]]`: says
"worker PID" for each. An agent's library takes seconds to import, in which an attack could kill
nobody.
"""

import argparse
import logging
import os
import sys

from stepflow import Stepflow
from stepflow.entry import load_app, work
from stepflow.worker.worker import WorkerOptions

#: runs at once in each worker
CONCURRENCY = 10
APP = "tests.crash.agents.app:app"


def hatch(app: Stepflow, concurrency: int) -> int:
    pid = os.fork()
    if pid:
        print(f"worker {pid}", flush=True)
        return pid
    try:
        work(app, WorkerOptions(concurrency=concurrency))
    finally:
        os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("app", nargs="?", default=APP)
    parser.add_argument("concurrency", nargs="?", type=int, default=CONCURRENCY)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    app = load_app(args.app)
    for _ in range(args.count):
        hatch(app, args.concurrency)
    while True:
        os.wait()
        hatch(app, args.concurrency)


if __name__ == "__main__":
    sys.exit(main())
