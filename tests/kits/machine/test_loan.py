"""[M1] [M5] [M6] A loan with every form of state: granted, or undone; crashed at every write."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any

import pytest

from stepflow import Join, Machine, More, Pending, PermanentError, StateContext
from stepflow.core.outcomes import CleanedUp, Succeed
from tests.kits.machine.driving import Driven
from tests.kits.memory import World


class State(StrEnum):
    CHECK = auto()
    SCORE = auto()
    ROUTE = auto()
    IMPORT = auto()
    PAPERS = auto()
    REST = auto()
    PAY = auto()
    GRANTED = auto()
    REFUSED = auto()


@dataclass
class Loan:
    amount: int
    pages: list[int] = field(default_factory=list)


def loan(world: World) -> Machine[Any, Any]:
    made: Any = Machine(
        "loan", State, start=State.CHECK, ends={State.GRANTED, State.REFUSED}, data=Loan
    )

    async def release(data: Loan) -> None:
        await world.act(f"release {data.amount}")

    @made.state(State.CHECK, to=State.SCORE, compensate=release)
    async def check(data: Loan) -> State:
        await world.act("check")
        return State.SCORE

    async def bureau(data: Loan) -> int:
        return await world.act("bureau", 700)

    async def history(data: Loan) -> int:
        await world.act("history")
        raise PermanentError("no history")

    async def fraud(data: Loan) -> int:
        return await world.act("fraud", 0)

    made.split(State.SCORE, [bureau, history, fraud], join=Join.quorum(2), to=State.ROUTE)

    @made.router(State.ROUTE, to={State.IMPORT, State.REFUSED})
    def route(data: Loan) -> State:
        return State.IMPORT if data.amount else State.REFUSED

    @made.stepped(State.IMPORT, to=State.PAPERS)
    async def pages(data: Loan, cursor: int | None, ctx: StateContext) -> State | More:
        at = cursor or 0
        await world.act(f"page {at}")
        data.pages.append(at)
        return State.PAPERS if at == 2 else More(at + 1)

    @made.poll(State.PAPERS, to=State.REST, every=60)
    async def papers(data: Loan) -> State | Pending | None:
        await world.act("papers")
        return State.REST if world.done.count("papers") > 2 else None

    made.timer(State.REST, 3600, to=State.PAY)

    @made.state(State.PAY, to=State.GRANTED)
    async def pay(data: Loan) -> State:
        await world.act("pay")
        if data.amount > 1000:
            raise PermanentError("no money")
        return State.GRANTED

    return made


WAY = ["check", "score", "import", "papers", "rest", "pay"]
UNDONE = "release 5000"


@pytest.mark.parametrize("amount", [500, 5000], ids=["granted", "undone"])
async def test_a_crash_at_every_write_leads_to_the_same_end(amount: int) -> None:
    """[M1] [M5] [M6] [M8] What has an answer is not done again; what was done is undone once."""
    whole_world = World()
    whole = Driven(loan(whole_world), Loan(amount))
    expected = await whole.go()
    assert isinstance(expected, Succeed if amount == 500 else CleanedUp)
    assert whole.way == ([*WAY, "granted"] if amount == 500 else WAY)
    assert whole_world.done.count(UNDONE) == (amount == 5000)
    for write in range(1, len(whole.runtime.journal) + 1):
        world = World()
        run = Driven(loan(world), Loan(amount))
        await run.die_at(write)
        recorded = {entry.name for entry in run.entries}
        before = len(world.done)
        ended = await run.go()
        assert _end(ended) == _end(expected), write
        assert run.way == whole.way, write
        again = world.done[before:]
        answered = {"score[0]": "bureau", "score[1]": "history", "score[2]": "fraud"}
        assert not {answered[name] for name in recorded & set(answered)} & set(again), write
        for name, count in Counter(world.done).items():
            assert count <= Counter(whole_world.done)[name] + 1, (write, name)


def _end(outcome: Any) -> Any:
    if isinstance(outcome, Succeed):
        return outcome.result
    return outcome.error.message, outcome.errors
