"""What the scripts of all task queues on Redis share: enqueue jobs first, then drain the queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from redis import Redis

from benchmarks import common as c


def drain(
    args: Any,
    marks: Any,
    enqueue: Callable[[], int],
    command: list[str],
    env: dict[str, str] | None = None,
) -> dict[str, Any]:
    """
    Have *enqueue* put its jobs into an empty Redis, work them off by *command*: first to last of
    its executions.
    """
    Redis.from_url(args.redis).flushdb()
    marks.reset()
    total = enqueue()
    worker = c.Proc([c.exe(command[0]), *command[1:]], env=env)
    rss = c.PeakRSS(worker.pid)
    try:
        c.wait_for(lambda: marks.count >= total, 400, 0.05, worker)
    finally:
        peak = rss.done()
        worker.stop()
    # In W4 every job ends with a stamp and begins by sleeping a second.
    return {"seconds": marks.span + (args.workload == "W4"), "n": args.n, "rss_mb": peak}


def jobs(
    args: Any,
    peer: str,
    enqueue: Callable[[], int],
    command: list[str],
    *,
    notes: str,
    versions: str,
    env: dict[str, str] | None = None,
) -> None:
    """Measure a peer that takes part in W3 and W4 only, and print its line."""
    marks = c.Marks(create=True)
    c.measure(
        args, peer, lambda _: drain(args, marks, enqueue, command, env), unit="jobs",
        versions=versions, notes=f"{notes}; enqueued first; first to last execution",
    )  # fmt: skip


def batches(n: int, size: int) -> list[range]:
    """Cut n jobs into ranges of at most *size*, to be enqueued together."""
    return [range(first, min(n, first + size)) for first in range(0, n, size)]
