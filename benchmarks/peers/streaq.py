"""streaQ: async workers on Redis streams (W3, W4). Variants: how many tasks at once."""

from __future__ import annotations

import asyncio
import os

from streaq import Worker

from benchmarks import common as c
from benchmarks.peers import queues

worker = Worker(
    redis_url=os.environ["BENCH_REDIS"], concurrency=int(os.environ.get("BENCH_MAX", "16"))
)


@worker.task(name="noop")
async def noop(n: int) -> None:
    c.hit()


@worker.task(name="nap")
async def nap(n: int) -> dict[str, int]:
    await asyncio.sleep(1)
    c.hit()
    return {"n": n}


def main() -> None:
    args = c.args(["W3", "W4"], variant="16")
    task = noop if args.workload == "W3" else nap

    async def enqueue() -> int:
        async with worker:
            for batch in queues.batches(args.n, 1000):
                await worker.enqueue_many([task.enqueue(n) for n in batch])
        return args.n

    queues.jobs(
        args, "streaq", lambda: asyncio.run(enqueue()),
        ["streaq", "run", "benchmarks.peers.streaq:worker"], env={"BENCH_MAX": args.variant},
        notes=f"concurrency={args.variant}", versions=c.version("streaq", "coredis"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
