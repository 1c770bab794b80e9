"""
Many things at once: the fastest of three answers, a batch of 500 items, and what failed of it.

    python examples/19_fan_out.py

`ctx.gather` races branches and cancels the rest once its join is met; `ctx.batch` calls one
function for each item. Both remember what they got: kill the worker, and only what had no answer is
done again.
"""

import asyncio
import subprocess
import sys

from stepflow import Context, Failed, Join, PermanentError, Stepflow

app = Stepflow()


async def price(shop: str, seconds: float) -> int:
    await asyncio.sleep(seconds)
    return len(shop)


async def resize(number: int) -> int:
    if number % 100 == 99:
        raise PermanentError("not a picture")
    return number * 2


@app.workflow("shop-around")
async def shop_around(ctx: Context) -> dict[str, int]:
    [(winner, cheapest)] = await ctx.gather(
        ctx.step("a", price, "far away", 30),
        ctx.step("b", price, "corner", 0),
        ctx.step("c", price, "abroad", 30),
        join=Join.any(timeout=60),
    )
    sizes = await ctx.batch("resize", resize, range(500), limit=20, errors="slot")
    broken = [slot.index for slot in sizes if isinstance(slot, Failed)]
    return {
        "winner": winner,
        "price": cheapest,
        "resized": 500 - len(broken),
        "broken": len(broken),
    }


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.19_fan_out:app"]
    worker = subprocess.Popen(command)
    try:
        print("result:", app.client.submit(shop_around).result(timeout=50))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
