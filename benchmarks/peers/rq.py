"""
RQ: a chain of jobs, each of which enqueues the next (W1, W2), and plain jobs (W3).

Variants: the kinds of workers.
"""

from __future__ import annotations

import time
from typing import Any

from redis import Redis
from rq import Queue

from benchmarks import common as c
from benchmarks.peers import queues
from benchmarks.peers.rq_jobs import noop, step

SIMPLE = ["--worker-class", "rq.worker.SimpleWorker"]
COMMANDS = {
    "worker": ["worker"],
    "simple": ["worker", *SIMPLE],
    "pool2simple": ["worker-pool", "-n", "2", *SIMPLE],
}


def main() -> None:
    args = c.args(["W1", "W2", "W3"], variant="worker")
    marks = c.Marks(create=True)
    redis = Redis.from_url(args.redis)
    queue = Queue("bench", connection=redis)
    kind, *options = COMMANDS[args.variant]
    command = ["rq", kind, "-u", args.redis, *options, "bench"]

    def enqueue() -> int:
        if args.workload == "W1":
            first = [(step, (f"r{n}", 0, args.steps), f"r{n}-0") for n in range(args.n)]
        else:
            first = [(noop, (n,), None) for n in range(args.n)]
        queue.enqueue_many(
            [queue.prepare_data(job, given, job_id=name) for job, given, name in first]
        )
        return args.n * (args.steps if args.workload == "W1" else 1)

    def timed(run: int) -> float:
        began = time.perf_counter()
        queue.enqueue(step, f"x{run}", 0, args.steps, job_id=f"x{run}-0")
        while redis.hget(f"rq:job:x{run}-{args.steps - 1}", "status") != b"finished":
            time.sleep(0.001)
        return (time.perf_counter() - began) * 1e3

    def latency() -> dict[str, Any]:
        redis.flushdb()
        worker = c.Proc([c.exe("rq"), *command[1:]])
        try:
            lat = [timed(run) for run in range(args.n + 5)][5:]
        finally:
            worker.stop()
        return {"seconds": sum(lat) / 1e3, "n": args.n, "lat_ms": lat}

    alone = args.workload == "W2"
    c.measure(
        args,
        "rq",
        lambda _: latency() if alone else queues.drain(args, marks, enqueue, command),
        unit="jobs" if args.workload == "W3" else "runs",
        versions=c.version("rq", "redis", "hiredis"),
        steps_per_run=None if args.workload == "W3" else args.steps,
        notes="one job at a time; "
        + ("to finished, seen by 1 ms polling" if alone else "first to last execution"),
    )


if __name__ == "__main__":
    main()
