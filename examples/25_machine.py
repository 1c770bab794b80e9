"""
A state machine: a loan is scored by two at once, then granted or refused.

    python examples/25_machine.py

Kill the worker: the run goes on in the state that it had entered last.
"""

import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum

from stepflow import Machine, StateContext, Stepflow

app = Stepflow()
State = StrEnum("State", ["SCORE", "DECIDE", "GRANTED", "REFUSED"])


@dataclass
class Loan:
    amount: int
    score: int = 0


loan = Machine("loan", State, start=State.SCORE, ends={State.GRANTED, State.REFUSED}, data=Loan)


async def bureau(loan: Loan) -> int:
    return 700 - loan.amount // 10


loan.split(State.SCORE, [bureau, lambda loan: 650], to=State.DECIDE)


@loan.state(State.DECIDE, to={State.GRANTED, State.REFUSED})
async def decide(loan: Loan, ctx: StateContext) -> State:
    loan.score = min(ctx.branches["score"])
    return State.GRANTED if loan.score >= 600 else State.REFUSED


app.machine(loan)


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.25_machine:app"]
    worker = subprocess.Popen(command)
    try:
        for amount in (300, 5000):
            print(amount, app.client.submit("loan", Loan(amount)).result(timeout=30))
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
