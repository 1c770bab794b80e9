"""DBOS Transact on SQLite or PostgreSQL (W1, W2, W4), in this process or in a worker."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from dbos import DBOS, DBOSClient, SetWorkflowID

from benchmarks import common as c


@DBOS.step()
def plain_step(n: int) -> dict[str, int]:
    c.hit()
    return {"n": n}


@DBOS.workflow()
def plain(steps: int) -> int:
    for n in range(steps):
        plain_step(n)
    return steps


@DBOS.step()
async def nap_step(n: int) -> dict[str, int]:
    await asyncio.sleep(1)
    c.hit()
    return {"n": n}


@DBOS.workflow()
async def nap(n: int) -> dict[str, int]:
    return await nap_step(n)


def fresh(kind: str) -> str:
    """Name a new system database."""
    if kind == "sqlite":
        return f"sqlite:///{tempfile.mkdtemp(prefix='stepflow-bench-')}/dbos.sqlite"
    return os.environ["BENCH_PG"].replace("/postgres?", f"/dbos_{uuid4().hex[:8]}?")


@contextmanager
def launched(url: str) -> Iterator[None]:
    """Be a DBOS process for a while."""
    DBOS(config={
        "name": "bench", "system_database_url": url, "log_level": "ERROR",
        "console_log_level": "ERROR", "application_version": "1", "executor_id": "bench",
    })  # fmt: skip
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()


def serve(url: str) -> None:
    """The worker process: listens to the queue until killed."""
    with launched(url):
        DBOS.register_queue("q")
        while True:
            time.sleep(3600)


def timed(steps: int) -> float:
    began = time.perf_counter()
    with SetWorkflowID(uuid4().hex):
        plain(steps)
    return (time.perf_counter() - began) * 1e3


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    args = c.args(["W1", "W2", "W4"], variant="sqlite-here")
    kind, where = args.variant.split("-")
    marks = c.Marks(create=True)

    async def naps() -> None:
        for run in [await DBOS.start_workflow_async(nap, n) for n in range(args.n)]:
            await run.get_result()

    def here(_: int) -> dict[str, Any]:
        with launched(fresh(kind)):
            rss = c.PeakRSS(os.getpid())
            plain(args.steps)
            began = time.perf_counter()
            if args.workload == "W4":
                asyncio.run(naps())
            else:
                for run in [DBOS.start_workflow(plain, args.steps) for _ in range(args.n)]:
                    run.get_result()
            seconds = time.perf_counter() - began
        return {"seconds": seconds, "n": args.n, "rss_mb": rss.done()}

    def queued(_: int) -> dict[str, Any]:
        url = fresh(kind)
        with launched(url):  # makes the schema and the queue, then goes away
            DBOS.register_queue("q")
        client = DBOSClient(system_database_url=url)
        for _n in range(args.n):
            client.enqueue({"queue_name": "q", "workflow_name": "plain"}, args.steps)
        marks.reset()
        worker = c.Proc([sys.executable, "-m", "benchmarks.peers.dbos", "--serve", url])
        rss = c.PeakRSS(worker.pid)
        try:
            c.wait_for(lambda: marks.count >= args.n * args.steps, 300, 0.05, worker)
        finally:
            peak = rss.done()
            worker.stop(wait=2)
            client.destroy()
        return {"seconds": marks.span, "n": args.n, "rss_mb": peak}

    def latency(_: int) -> dict[str, Any]:
        with launched(fresh(kind)):
            lat = [timed(args.steps) for _ in range(args.n + 5)][5:]
        return {"seconds": sum(lat) / 1e3, "n": args.n, "lat_ms": lat}

    c.measure(
        args,
        "dbos",
        latency if args.workload == "W2" else queued if where == "queue" else here,
        unit="runs",
        versions=c.version("dbos", "sqlalchemy", "psycopg"),
        steps_per_run=None if args.workload == "W4" else args.steps,
        notes="enqueued first; first to last step"
        if where == "queue"
        else "in process; starting the runs included",
    )


if __name__ == "__main__":
    main()
