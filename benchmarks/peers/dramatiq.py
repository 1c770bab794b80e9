"""Dramatiq on Redis (W3). Variants: processes and threads."""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks import common as c
from benchmarks.peers import queues

dramatiq.set_broker(RedisBroker(url=os.environ["BENCH_REDIS"]))


@dramatiq.actor
def noop(n: int) -> None:
    c.hit()


def main() -> None:
    args = c.args(["W3"], variant="1x8")
    processes, threads = args.variant.split("x")

    def enqueue() -> int:
        for n in range(args.n):
            noop.send(n)
        return args.n

    queues.jobs(
        args, "dramatiq", enqueue,
        ["dramatiq", "benchmarks.peers.dramatiq", "-p", processes, "-t", threads],
        notes=f"processes={processes} threads={threads}",
        versions=c.version("dramatiq", "redis", "hiredis"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
