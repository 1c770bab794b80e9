"""
A service is down: the runs wait, and nobody calls it, until a trial succeeds.

    python examples/23_breaker.py
"""

import subprocess
import sys
import time

from stepflow import Breaker, Client, Context, RetryPolicy, Stepflow

app = Stepflow()
bank = Breaker("bank", failures=3, reset=2)


#: when the bank answers again, in the worker: two seconds after the first call
answers_at: list[float] = []


@app.step(breaker=bank, retry=RetryPolicy(max_attempts=10, initial=0.05))
async def charge(order: int) -> str:
    if not answers_at:
        answers_at.append(time.time() + 2)
    if time.time() < answers_at[0]:
        raise ConnectionError("the bank does not answer")
    return f"order {order} is paid"


@app.workflow("orders")
async def orders(ctx: Context, order: int) -> str:
    return await ctx.step(charge, order)


def main() -> None:
    command = ["-m", "stepflow", "worker", "examples.23_breaker:app"]
    worker = subprocess.Popen([sys.executable, *command], stderr=subprocess.DEVNULL)
    try:
        with Client() as client:
            runs = [client.submit(orders, number) for number in range(1, 6)]
            for run in runs:
                print(run.result(timeout=30))
            bank_now = client.breakers.get("bank")
            print(f"the breaker is {bank_now.state}; it was opened {bank_now.opened > 0}")
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
