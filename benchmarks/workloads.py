"""The workloads W1 to W5 for stepflow, in the form that the peers are measured in."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import common as c
from benchmarks.marks import Marks
from stepflow import Client
from stepflow.store.address import Address
from stepflow.store.link import connect

CONCURRENCY = {"W1": 100, "W2": 100, "W3": 100, "W4": 2000}


@contextmanager
def worker(url: str, concurrency: int, processes: int = 1) -> Iterator[c.Proc]:
    """One `stepflow worker` process, or several under its supervisor."""
    command = [sys.executable, "-m", "stepflow", "worker", "benchmarks.app:app", "--concurrency", str(concurrency)]
    if processes > 1:
        command += ["--processes", str(processes)]
    process = c.Proc(command, env={"STEPFLOW_REDIS_URL": url}, cwd=str(Path.cwd()))
    try:
        yield process
    finally:
        process.stop()


def batch(args: Any, marks: Marks, client: Client, redis: Any) -> dict[str, Any]:
    """Submit all runs first, then start the worker: from the first step executed to the last."""
    redis.flushall()
    marks.reset()
    specs = {
        "W1": [(args.variant or "chain", {"steps": args.steps})] * args.n,
        "W3": [("noop", None)] * args.n,
        "W4": [("nap", 1)] * args.n,
    }[args.workload]
    client.submit_many(specs)
    total = args.n * (args.steps if args.workload == "W1" else 1)
    with worker(args.redis, CONCURRENCY[args.workload], args.processes) as process:
        rss = c.PeakRSS(process.pid)
        c.wait_for(lambda: marks.count >= total and redis.zcard("stepflow:idx:live") == 0, 300, 0.05, process)
        peak = rss.done()
        if marks.count != total:
            raise RuntimeError(f"{marks.count} steps executed instead of {total}")
    return {"seconds": marks.span + (1.0 if args.workload == "W4" else 0.0), "n": args.n, "rss_mb": peak}


def latency(args: Any, client: Client, redis: Any) -> dict[str, Any]:
    """One run at a time, from submit to its end seen by the client."""
    redis.flushall()
    lat = []
    with worker(args.redis, CONCURRENCY["W2"]):
        for k in range(args.n + 5):
            began = time.perf_counter()
            client.submit(args.variant or "chain", {"steps": args.steps}).wait(30)
            if k >= 5:
                lat.append((time.perf_counter() - began) * 1e3)
    return {"seconds": sum(lat) / 1e3, "n": args.n, "lat_ms": lat}


def submitting(args: Any, client: Client, redis: Any) -> dict[str, Any]:
    """How many runs a second submit_many takes."""
    redis.flushall()
    specs = [("noop", {"n": i}) for i in range(args.n)]
    began = time.perf_counter()
    client.submit_many(specs)
    return {"seconds": time.perf_counter() - began, "n": args.n}


def main() -> None:
    """Measure one workload and print its line."""
    args = c.args(["W1", "W2", "W3", "W4", "W5"], processes=1)
    url = args.redis
    redis = connect(Address.parse(url))
    marks = Marks(create=True)
    client = Client(url)
    versions = c.version("redis", "rq", "hiredis", "uvloop")
    once = {"W2": lambda rep: latency(args, client, redis), "W5": lambda rep: submitting(args, client, redis)}.get(
        args.workload, lambda rep: batch(args, marks, client, redis)
    )
    c.measure(
        args, "stepflow", once, unit="runs", versions=versions, notes="StepRunner steps; submitted first; first to last step",
        steps_per_run=args.steps if args.workload in ("W1", "W2") else None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
