"""
A workflow without async: a plain `def` whose `ctx` calls block.

    python examples/10_plain_def.py

It survives crashes, waits and is cancelled like an `async def` workflow; while it waits it occupies
no thread and no worker. Steps declared with `@app.step` bring their own retry policy.
"""

import subprocess
import sys
from functools import partial

from stepflow import RetryPolicy, Stepflow, SyncContext, TransientError

app = Stepflow()
tries: dict[str, int] = {}

PRICES = {"tea": 4, "honey": 7, "cup": 9}


@app.step(retry=RetryPolicy(max_attempts=3, initial=0.1), timeout=20)
def price_of(item: str) -> int:
    tries[item] = tries.get(item, 0) + 1
    if item == "honey" and tries[item] == 1:
        raise TransientError("the shop does not answer")  # tried again, this step alone
    return PRICES[item]


@app.workflow("order")
def order(ctx: SyncContext, items: list[str]) -> str:
    def ask_price(item: str) -> int:
        return ctx.step(f"price of {item}", price_of, item)

    total = sum(ctx.parallel(*(partial(ask_price, item) for item in items)))
    if total > 15:
        answer = ctx.wait_for_signal("approval", timeout=86400)  # None after a day
        if answer != "yes":
            return "withdrawn"
    ctx.sleep(0.2)
    return f"ordered {', '.join(items)} for {total}"


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.10_plain_def:app"]
    worker = subprocess.Popen(command)
    try:
        small = app.client.submit(order, ["tea"])
        large = app.client.submit(order, ["tea", "honey", "cup"])
        app.client.signal(large.id, "approval", "yes")  # your web app would send this
        print(small.result(timeout=30))
        print(large.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
