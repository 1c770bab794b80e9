"""Celery on Redis: chains (W1, W2), plain tasks (W3), sleeping ones (W4), by pool and its size."""

from __future__ import annotations

import os
import time
from typing import Any
from urllib.parse import urlsplit

from celery import Celery, chain

from benchmarks import common as c
from benchmarks.peers import queues

REDIS = f"redis+socket://{urlsplit(os.environ['BENCH_REDIS']).path}"
app = Celery("benchmarks.peers.celery", broker=REDIS, backend=REDIS)
app.conf.update(
    task_default_queue="bench",
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop", ignore_result=True)
def noop(n: int) -> None:
    c.hit()


@app.task(name="step")
def step(n: int) -> dict[str, int]:
    c.hit()
    return {"n": n}


@app.task(name="nap")
def nap(n: int) -> dict[str, int]:
    time.sleep(1)  # green under gevent, a thread otherwise
    c.hit()
    return {"n": n}


def main() -> None:
    args = c.args(["W1", "W2", "W3", "W4"], variant="prefork-2")
    marks = c.Marks(create=True)
    pool, size = args.variant.split("-")
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "ERROR"]
    command = ["celery", "-A", "benchmarks.peers.celery", "worker", "-P", pool, "-c", size, *quiet]

    def start() -> Any:
        return chain(*(step.si(n) for n in range(args.steps))).apply_async()

    def enqueue() -> int:
        if args.workload == "W1":
            for _ in range(args.n):
                start()
            return args.n * args.steps
        task = noop if args.workload == "W3" else nap
        with app.producer_pool.acquire(block=True) as producer:
            for n in range(args.n):
                task.apply_async((n,), producer=producer)
        return args.n

    def timed() -> float:
        began = time.perf_counter()
        start().get(timeout=30)
        return (time.perf_counter() - began) * 1e3

    def latency() -> dict[str, Any]:
        worker = c.Proc([c.exe(command[0]), *command[1:]])
        try:
            lat = [timed() for _ in range(args.n + 5)][5:]
        finally:
            worker.stop()
        return {"seconds": sum(lat) / 1e3, "n": args.n, "lat_ms": lat}

    alone = args.workload == "W2"
    c.measure(
        args,
        "celery",
        lambda _: latency() if alone else queues.drain(args, marks, enqueue, command),
        unit="jobs" if args.workload == "W3" else "runs",
        versions=c.version("celery", "kombu", "redis", "hiredis", "gevent"),
        steps_per_run=args.steps if args.workload in ("W1", "W2") else None,
        notes=f"-P {pool} -c {size}, ack-early; "
        + ("apply_async to get()" if alone else "first to last execution"),
    )


if __name__ == "__main__":
    main()
