"""
A map: a child run for each of a thousand items, a few at work at once, and results in order.

    python examples/08_map.py

A parent that waits for its children occupies no worker, so one worker is enough for all of them.
Each child is a run of its own: it can wait, be retried, and be looked at with `stepflow show`. The
parent wakes up once, when all have ended.
"""

import subprocess
import sys

from stepflow import ChildFailed, Context, PermanentError, Stepflow

app = Stepflow()


async def look_up(number: int) -> int:
    if number == 13:
        raise PermanentError("nobody lives there")
    return number % 7


@app.workflow("household")
async def household(ctx: Context, number: int) -> int:
    return await ctx.step(look_up, number)


@app.workflow("census")
async def census(ctx: Context, houses: int) -> dict[str, int]:
    found = await ctx.map(household, range(houses), limit=100, join="settled")
    missing = [each for each in found if isinstance(each, ChildFailed)]
    return {
        "people": sum(each for each in found if not isinstance(each, ChildFailed)),
        "missing": len(missing),
    }


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.08_map:app"]
    worker = subprocess.Popen(command)
    try:
        print("census:", app.client.submit(census, 1000).result(timeout=50))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
