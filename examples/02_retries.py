"""
Retries: a step that fails is tried again, and does not repeat what it did before it failed.

    python examples/02_retries.py

A step may run more than once: after an error, or because its worker died. Three things help.
`TransientError` asks for another try. `step.memo` keeps what an attempt has learned. `step.key` is
the same for every attempt of a step, and for no other step: pass it on as the idempotency key.
"""

import subprocess
import sys

from stepflow import PermanentError, RetryPolicy, Step, Stepflow, Succeed, TransientError

app = Stepflow()
# stands for a payment provider, which charges once for each idempotency key
charges: dict[str, int] = {}
quotes: list[int] = []  # stands for a slow and costly question


@app.runner("order", retry=RetryPolicy(max_attempts=4, initial=0.1))
async def order(step: Step):
    if step.payload["cents"] <= 0:
        raise PermanentError("nothing to pay")  # no further attempt helps: the run fails now
    price = await step.memo.get("price")
    if price is None:
        price = step.payload["cents"] + 250
        quotes.append(price)
        await step.memo.put("price", price)  # durable before the next line
    charges[step.key] = price
    if step.attempt < 3:
        raise TransientError("the provider's answer was lost", retry_after=0.2)
    return Succeed(
        {"paid": price, "attempts": step.attempt, "quotes": len(quotes), "charges": len(charges)}
    )


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.02_retries:app"]
    worker = subprocess.Popen(command)
    try:
        print(app.client.submit("order", {"cents": 1000}).result(timeout=30))

        bad = app.client.submit("order", {"cents": 0}).wait(timeout=30)
        print(f"{bad.state} at attempt {bad.attempt}: {bad.error.type}: {bad.error.message}")
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
