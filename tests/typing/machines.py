"""Machines as type checkers see them; see `uses.py`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, auto
from typing import Literal, assert_type

from stepflow import (
    AsyncClient,
    Client,
    Failed,
    Machine,
    MachineResult,
    More,
    Pending,
    StateContext,
    Stepflow,
)
from stepflow.testing import Harness


class State(StrEnum):
    NEW = auto()
    WORK = auto()
    DONE = auto()


class Other(StrEnum):
    NEW = auto()


@dataclass
class Loan:
    amount: int


app = Stepflow("redis://localhost/0")
loan = Machine("loan", State, start=State.NEW, ends={State.DONE}, data=Loan)
assert_type(loan, Machine[State, Loan])
assert_type(app.machine(loan), Machine[State, Loan])


@loan.state(State.NEW, to={State.WORK, State.DONE})
async def begin(loan: Loan, ctx: StateContext) -> State:
    return State.WORK if loan.amount else State.DONE


@loan.state(State.NEW, to=State.WORK)
def plain(loan: Loan) -> Literal[State.WORK]:
    return State.WORK


async def call(ctx: StateContext) -> None:
    assert_type(await begin(Loan(1), ctx), State)
    await begin(Loan(1), 7)  # error
    plain(3)  # error


@loan.state(State.NEW, to=State.WORK)  # error
def text(loan: Loan) -> str:
    return "work"


@loan.state(State.NEW, to=State.WORK)  # error
async def other(loan: Loan) -> Other:
    return Other.NEW


@loan.state(State.NEW, to=State.WORK)  # error
async def wrong(amount: int) -> State:
    return State.WORK


@loan.router(State.WORK, to=State.DONE)  # error
async def late(loan: Loan) -> State:
    return State.DONE


@loan.poll(State.WORK, to=State.DONE, every=5)
async def polled(loan: Loan) -> State | Pending | None:
    return None


@loan.stepped(State.WORK, to=State.DONE)
def page(loan: Loan, cursor: int | None) -> State | More:
    return More(1) if cursor is None else State.DONE


@loan.batch(State.WORK, lambda loan: [loan], str, to=State.DONE)
def finish(loan: Loan, found: list[str | Failed]) -> State:
    return State.DONE


loan.state(State.NEW, to=Other.NEW)  # error
loan.timer(State.WORK, 5, to=State.DONE)


def submitted(client: Client) -> None:
    handle = client.submit(loan, Loan(5), run_id="a", priority="high")
    assert_type(handle.result(), MachineResult[State, Loan])
    assert_type(handle.result().data.amount, int)
    client.submit(loan, "x")  # error
    client.submit(loan)  # error
    client.submit(loan, Loan(5), run_ids="a")  # error


async def submitted_async(client: AsyncClient) -> None:
    handle = await client.submit(loan, Loan(5))
    assert_type(await handle.result(), MachineResult[State, Loan])
    await client.submit(loan, 5)  # error


async def in_a_harness() -> None:
    async with Harness(app) as h:
        run = await h.submit(loan, Loan(5), run_id="a")
        assert_type(await h.result(run), MachineResult[State, Loan])
        await h.submit(loan, 5)  # error
