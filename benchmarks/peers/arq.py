"""arq: async workers on Redis (W3, W4). Variants: how many jobs at once."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks import common as c
from benchmarks.peers import queues


async def noop(ctx: Any, n: int) -> None:
    c.hit()


async def nap(ctx: Any, n: int) -> dict[str, int]:
    await asyncio.sleep(1)
    c.hit()
    return {"n": n}


class WorkerSettings:
    functions = (noop, nap)
    max_jobs = int(os.environ.get("BENCH_MAX", "10"))
    redis_settings = RedisSettings.from_dsn(os.environ["BENCH_REDIS"])


def main() -> None:
    args = c.args(["W3", "W4"], variant="10")
    name = "noop" if args.workload == "W3" else "nap"

    async def enqueue() -> int:
        pool = await create_pool(WorkerSettings.redis_settings)
        for batch in queues.batches(args.n, 100):
            await asyncio.gather(*(pool.enqueue_job(name, n) for n in batch))
        await pool.aclose()
        return args.n

    queues.jobs(
        args, "arq", lambda: asyncio.run(enqueue()), ["arq", "benchmarks.peers.arq.WorkerSettings"],
        env={"BENCH_MAX": args.variant}, notes=f"max_jobs={args.variant}",
        versions=c.version("arq", "redis", "hiredis"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
