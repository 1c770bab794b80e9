"""
A database that each worker opens once: steps use its `value`. A transaction around each attempt.

    python examples/11_lifespan.py
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from stepflow import CallNext, Context, RetryPolicy, Stepflow, UserCall

app = Stepflow()


@app.lifespan
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        connection.execute("CREATE TABLE paid (name TEXT)")
        yield connection


@app.middleware
async def in_a_transaction(call: UserCall, call_next: CallNext) -> Any:
    with database.value:  # commits, or rolls back when the step raises
        return await call_next()


def pay(name: str) -> None:
    database.value.execute("INSERT INTO paid VALUES (?)", [name])
    if database.value.total_changes == 1:
        raise ConnectionError("the bank does not answer")


def paid() -> list[str]:
    return [name for (name,) in database.value.execute("SELECT name FROM paid")]


@app.workflow("payments", retry=RetryPolicy(initial=0.1))
async def payments(ctx: Context) -> list[str]:
    await ctx.step(pay, "Ada")
    return await ctx.step(paid)


def main() -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "stepflow", "worker", "examples.11_lifespan:app"]
    )
    try:
        print("paid:", app.client.submit(payments).result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
