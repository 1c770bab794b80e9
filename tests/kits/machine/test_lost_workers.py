"""Machines on a real server whose worker is lost at any write."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from stepflow import Join, Machine, More, StateContext
from stepflow.core.journal import ENTERED, Entry
from tests.kits.dying import dying_at
from tests.kits.machine.test_ways import Loan, State

pytestmark = pytest.mark.crash

WAY = ["validate", "score", "review", "done"]


def tour(seen: list[str]) -> Machine:
    machine = Machine(
        "tour", State, start=State.VALIDATE, ends={State.DONE, State.REJECTED}, data=Loan
    )

    @machine.state(State.VALIDATE, to={State.SCORE, State.REJECTED})
    async def validate(loan: Loan) -> State:
        seen.append("validate")
        return State.SCORE

    async def one(loan: Loan) -> int:
        seen.append("one")
        return 1

    machine.split(State.SCORE, [one, one], join=Join.settled(), to=State.ROUTE)

    @machine.router(State.ROUTE, to=State.REVIEW)
    def route(loan: Loan) -> State:
        return State.REVIEW

    @machine.stepped(State.REVIEW, to=State.DONE)
    async def review(loan: Loan, cursor: int | None, ctx: StateContext) -> State | More:
        seen.append(f"page {cursor}")
        loan.score += sum(ctx.branches["score"])
        return State.DONE if cursor else More(1)

    return machine


@pytest.mark.parametrize("write", range(1, 10))
async def test_a_worker_lost_at_any_write_costs_at_most_one_call(
    app: Any, aclient: Any, working: Any, real: Any, write: int
) -> None:
    """[M1] [M4] [M6] The write is carried out, the reply comes to nobody."""
    seen: list[str] = []
    app.machine(tour(seen))
    async with working(app) as worker, dying_at(write, "tour", worker, real) as died:
        run = await aclient.submit("tour", Loan(1))
        result = await run.result(60)
    assert died
    assert result == {"state": "done", "data": {"amount": 1, "score": 4, "notes": []}}
    entries = [Entry.read(each) for each in real.lrange(f"stepflow:run:{run.id}:journal", 0, -1)]
    assert [each.name for each in entries if each.place.endswith(ENTERED)] == WAY
    assert set(Counter(each.place for each in entries).values()) == {1}
    assert len(seen) <= 6
