"""
A state machine: a loan is scored by three at once, then granted, refused, or put to somebody.

    python examples/25_machine.py
    stepflow machine examples.25_machine:app loan --mermaid

The graph is checked when the machine is registered. Kill the worker: the run goes on in the state
that it had entered last.
"""

import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum, auto

from stepflow import Failed, Join, Machine, PermanentError, StateContext, Stepflow

app = Stepflow()


class State(StrEnum):
    VALIDATE = auto()
    SCORE = auto()
    DECIDE = auto()
    ROUTE = auto()
    GRANTED = auto()
    REFUSED = auto()


@dataclass
class Loan:
    amount: int
    score: int = 0


async def bureau(loan: Loan) -> int:
    return 700 - loan.amount // 10


async def history(loan: Loan) -> int:
    return 650


async def fraud(loan: Loan) -> int:
    raise PermanentError("not our customer")


loan = Machine(
    "loan", State, start=State.VALIDATE, ends={State.GRANTED, State.REFUSED}, data=Loan
)  # fmt: skip
loan.split(State.SCORE, [bureau, history, fraud], join=Join.settled(at_least=2), to=State.DECIDE)


@loan.state(State.VALIDATE, to={State.SCORE, State.REFUSED}, timeout=10)
async def validate(loan: Loan) -> State:
    return State.SCORE if loan.amount > 0 else State.REFUSED


@loan.state(State.DECIDE, to=State.ROUTE)
async def decide(loan: Loan, ctx: StateContext) -> State:
    answers = ctx.branches["score"]
    loan.score = min(each for each in answers if not isinstance(each, Failed))
    return State.ROUTE


@loan.router(State.ROUTE, to={State.GRANTED, State.REFUSED})
def route(loan: Loan) -> State:
    return State.GRANTED if loan.score >= 600 else State.REFUSED


app.machine(loan)


def main() -> None:
    command = [sys.executable, "-m", "stepflow", "worker", "examples.25_machine:app"]
    worker = subprocess.Popen(command)
    try:
        for amount in (300, 5000, -1):
            result = app.client.submit("loan", Loan(amount)).result(timeout=30)
            print(f"{amount}: {result['state']}, score {result['data']['score']}")
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    main()
