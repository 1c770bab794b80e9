"""
A workflow without async: a plain `def` whose `ctx` calls block.

    python examples/10_plain_def.py

It survives crashes, waits and is cancelled as an `async def` workflow is; while it waits it holds
no thread and no worker. Steps declared with `@app.step` bring their own policy along.
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
    prices = ctx.parallel(
        *(partial(ctx.step, f"price of {item}", price_of, item) for item in items)
    )
    total = sum(prices)
    if total > 15:
        answer = ctx.wait_for_signal(
            "approval", timeout=86400
        )  # a day, held by nobody; None after that
        if answer != "yes":
            return "withdrawn"
    ctx.sleep(0.2)
    return f"ordered {', '.join(items)} for {total}"


def main() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "stepflow", "worker", "examples.10_plain_def:app"]
    )
    try:
        small = app.client.submit("order", ["tea"])
        large = app.client.submit("order", ["tea", "honey", "cup"])
        app.client.signal(
            large.id, "approval", "yes"
        )  # a web app would send this when somebody clicks
        print(small.result(timeout=30))
        print(large.result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
