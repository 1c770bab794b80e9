"""
Limits: a nightly load of 500 partitions, 20 at a time, that asks an API five times a second.

    python examples/24_limits.py

The test harness moves the clock. Limits count over all workers, however many you start.
"""

import asyncio
import os

from stepflow import Context, Limit, Stepflow
from stepflow.testing import Harness

app = Stepflow()
database = Limit("database", concurrency=20)
api = Limit("api", rate="5/s", burst=5)

PARTITIONS, TAKES_S = int(os.environ.get("PARTITIONS", "500")), 6.0
began: list[float] = []
at_work = most = 0
clock: Harness


async def load(number: int) -> int:
    global at_work, most  # noqa: PLW0603  what the example prints
    began.append(clock.now().timestamp())
    at_work += 1
    most = max(most, at_work)
    await clock.sleep(TAKES_S)  # the work
    at_work -= 1
    return number


@app.workflow(limits=[database, api])
async def partition(ctx: Context, number: int) -> int:
    return await ctx.step(load, number)


@app.workflow
async def nightly(ctx: Context) -> int:
    rows = await ctx.map(partition, range(PARTITIONS))
    return sum(rows)


async def main() -> None:
    global clock
    async with Harness(app) as clock:
        run = await clock.submit(nightly)
        while not (await clock.status(run)).is_finished:
            await clock.advance(1)
        loaded = await clock.result(run)
        in_a_second = max(sum(at <= other < at + 1 for other in began) for at in began)
        print(f"loaded {PARTITIONS} partitions: {loaded}")
        print(f"at most {most} at once, at most {in_a_second} begun within a second")
        print(f"in {clock.now().timestamp() - began[0]:.0f} s")


if __name__ == "__main__":
    asyncio.run(main())
