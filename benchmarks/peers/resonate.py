"""
Resonate's SDK in local mode (W1, W2, W4).

Its promises are in memory: a floor for the overhead of the SDK, no durable peer.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any
from uuid import uuid4

from resonate.resonate import Resonate

from benchmarks import common as c


async def one(ctx: Any, n: int) -> dict[str, int]:
    c.hit()
    return {"n": n}


async def chain(ctx: Any, steps: int) -> int:
    for n in range(steps):
        await ctx.run(one, n)
    return steps


async def nap_step(ctx: Any, n: int) -> dict[str, int]:
    await asyncio.sleep(1)
    c.hit()
    return {"n": n}


async def nap(ctx: Any, n: int) -> dict[str, int]:
    return await ctx.run(nap_step, n)


def main() -> None:
    args = c.args(["W1", "W2", "W4"], variant="memory")
    workflow = nap if args.workload == "W4" else chain
    at_once = 1 if args.workload == "W2" else args.n

    async def run() -> tuple[float, list[float]]:
        resonate = Resonate()
        for function in (one, chain, nap_step, nap):
            resonate.register(function)
        turn = asyncio.Semaphore(at_once)

        async def go() -> float:
            async with turn:
                began = time.perf_counter()
                await resonate.run(uuid4().hex, workflow, args.steps).result()
                return (time.perf_counter() - began) * 1e3

        await go()
        began = time.perf_counter()
        lat = await asyncio.gather(*(go() for _ in range(args.n)))
        seconds = time.perf_counter() - began
        await resonate.stop()
        return seconds, lat

    def once(_: int) -> dict[str, Any]:
        rss = c.PeakRSS(os.getpid())
        seconds, lat = asyncio.run(run())
        found = {"seconds": seconds, "n": args.n, "rss_mb": rss.done()}
        return found | {"lat_ms": lat} if args.workload == "W2" else found

    c.measure(
        args, "resonate", once, unit="runs", versions=c.version("resonate-sdk"),
        notes="local mode, in process", steps_per_run=None if args.workload == "W4" else args.steps,
    )  # fmt: skip


if __name__ == "__main__":
    main()
