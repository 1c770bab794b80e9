"""
A database for each worker, a transaction for each job, and a health check.

    python examples/18_resources.py
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

from stepflow import Health, RetryPolicy, Stepflow, inject

app = Stepflow()


@app.resource
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as connection:
        connection.execute("CREATE TABLE paid (name TEXT)")
        yield connection


@app.resource(scope="run")
def transaction(db: sqlite3.Connection = inject(database)) -> Iterator[sqlite3.Connection]:
    with db:  # commits, or rolls back when the job raises
        yield db


@database.health
def answers(db: sqlite3.Connection) -> Health:
    return Health.ok() if db.total_changes < 1000 else Health.degraded("full")


@app.job(name="pay", retry=RetryPolicy(initial=0.1))
def pay(name: str, db: sqlite3.Connection = inject(transaction)) -> None:
    db.execute("INSERT INTO paid VALUES (?)", [name])
    if db.total_changes == 1:
        raise ConnectionError("the bank does not answer")


@app.job(name="paid")
def paid(db: sqlite3.Connection = inject(database)) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM paid")]


def main() -> None:
    command = ["-m", "stepflow", "worker", "examples.18_resources:app"]
    worker = subprocess.Popen([sys.executable, *command])
    try:
        pay.submit_blocking("Ada").result(timeout=30)
        print("paid:", paid.submit_blocking().result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
