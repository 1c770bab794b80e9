"""An app with a machine, for tests that need one on a real server, in a process, on a page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto

from stepflow import Failed, Join, Machine, StateContext, Stepflow

app = Stepflow()


class State(StrEnum):
    """A loan is scored, then granted by a person or by its amount."""

    VALIDATE = auto()
    SCORE = auto()
    ROUTE = auto()
    REVIEW = auto()
    DONE = auto()
    REJECTED = auto()


@dataclass
class Loan:
    amount: int
    score: int = 0


async def bureau(loan: Loan) -> int:
    return loan.amount


async def history(loan: Loan) -> int:
    return 5


loan = Machine("loan", State, start=State.VALIDATE, ends={State.DONE, State.REJECTED}, data=Loan)


@loan.state(State.VALIDATE, to={State.SCORE, State.REJECTED})
async def validate(loan: Loan) -> State:
    return State.SCORE if loan.amount > 0 else State.REJECTED


loan.split(State.SCORE, [bureau, history], join=Join.settled(), to=State.ROUTE)


@loan.router(State.ROUTE, to={State.REVIEW, State.DONE})
def route(loan: Loan) -> State:
    return State.REVIEW if loan.amount > 100 else State.DONE


@loan.ask(State.REVIEW, bool, "Grant it?", to={State.DONE, State.REJECTED})
async def review(loan: Loan, answer: bool, ctx: StateContext) -> State:
    loan.score = sum(each for each in ctx.branches.get("score", ()) if not isinstance(each, Failed))
    return State.DONE if answer else State.REJECTED


app.machine(loan)
