"""saq: async workers on Redis (W3, W4). Variants: how many jobs at once."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from redis.asyncio import Redis
from saq.queue.redis import RedisQueue

from benchmarks import common as c
from benchmarks.peers import queues


async def noop(ctx: Any, *, n: int) -> None:
    c.hit()


async def nap(ctx: Any, *, n: int) -> dict[str, int]:
    await asyncio.sleep(1)
    c.hit()
    return {"n": n}


def queue() -> RedisQueue:
    """Its own from_url knows no sockets; the client it is given does."""
    return RedisQueue(Redis.from_url(os.environ["BENCH_REDIS"]))


if "BENCH_MAX" in os.environ:
    settings = {
        "queue": queue(),
        "functions": [noop, nap],
        "concurrency": int(os.environ["BENCH_MAX"]),
    }


def main() -> None:
    args = c.args(["W3", "W4"], variant="10")
    name = "noop" if args.workload == "W3" else "nap"

    async def enqueue() -> int:
        target = queue()
        await target.connect()
        for batch in queues.batches(args.n, 100):
            await asyncio.gather(*(target.enqueue(name, n=n) for n in batch))
        await target.disconnect()
        return args.n

    queues.jobs(
        args, "saq", lambda: asyncio.run(enqueue()),
        ["saq", "benchmarks.peers.saq.settings", "--quiet"], env={"BENCH_MAX": args.variant},
        notes=f"concurrency={args.variant}", versions=c.version("saq", "redis", "hiredis"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
