"""[M1] [M4] From state to state: a crash at every write enters the last state again, no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Any, Literal

import pytest

from stepflow import (
    Machine,
    PermanentError,
    RetryPolicy,
    StateContext,
    Succeed,
    TransientError,
)
from stepflow.core.outcomes import CleanedUp, Raised
from tests.kits.machine.driving import Driven
from tests.kits.memory import World


class State(StrEnum):
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
    notes: list[str] = field(default_factory=list)


def loan(world: World, *, retry: RetryPolicy | None = None, broken: bool = False) -> Machine:
    machine = Machine(
        "loan", State, start=State.VALIDATE, ends={State.DONE, State.REJECTED}, data=Loan
    )

    async def forget(loan: Loan) -> None:
        await world.act(f"undo at {loan.score}")

    @machine.state(State.VALIDATE, to={State.SCORE, State.REJECTED}, retry=retry)
    async def validate(loan: Loan, ctx: StateContext) -> State:
        await world.act(f"validate {ctx.visit}")
        loan.notes.append("valid")
        return State.SCORE if loan.amount > 0 else State.REJECTED

    @machine.state(State.SCORE, to=State.ROUTE, compensate=forget, retry=retry)
    async def score(loan: Loan) -> Literal[State.ROUTE]:
        loan.score += 10
        await world.act("score")
        return State.ROUTE

    @machine.router(State.ROUTE, to={State.SCORE, State.REVIEW, State.DONE})
    def route(loan: Loan) -> State:
        loan.score = 999  # lost: a router only looks
        return State.SCORE if len(world.done) and loan.amount > 100 else State.REVIEW

    @machine.state(State.REVIEW, to={State.DONE, State.VALIDATE})
    async def review(loan: Loan, ctx: StateContext) -> State:
        await world.act(f"review {ctx.visit}")
        if broken:
            raise PermanentError("no reviewer")
        return State.VALIDATE if ctx.visit == 1 else State.DONE

    return machine


WAY = ["validate", "score", "review", "validate", "score", "review", "done"]
ENDS = Succeed({"state": "done", "data": Loan(7, 20, ["valid", "valid"])})


async def test_a_machine_goes_its_way_and_gives_its_data() -> None:
    """[M1] [M2] A cycle is fine; the router leaves nothing; the end is entered as well."""
    world = World()
    run = Driven(loan(world), Loan(7))
    assert await run.go() == ENDS
    assert run.way == WAY
    assert world.done == ["validate 1", "score", "review 1", "validate 2", "score", "review 2"]
    assert [entry.name for entry in run.entries] == [
        "validate", "validate", "score", "score", "review", "review", "validate", "validate",
        "score", "score", "review", "review", "done",
    ]  # fmt: skip


@pytest.mark.parametrize("write", range(1, 14))
async def test_a_crash_at_every_write_enters_the_last_state_again_and_no_earlier(
    write: int,
) -> None:
    """[M1] [M4]"""
    world = World()
    run = Driven(loan(world), Loan(7))
    await run.die_at(write)
    entered, before = list(run.way), list(world.done)
    assert await run.go() == ENDS
    assert run.way == WAY
    whole = ["validate 1", "score", "review 1", "validate 2", "score", "review 2"]
    # each state has an entry for its enter and one for its end
    assert world.done[len(before) :] == whole[write // 2 :]
    assert len(entered) == (write + 1) // 2


async def test_a_failed_attempt_leaves_the_data_as_they_were() -> None:
    """[M4]"""
    machine: Any = Machine(
        "m", State, start=State.SCORE, ends=set(State) - {State.SCORE}, data=Loan
    )
    seen: list[Any] = []

    @machine.state(State.SCORE, to=set(State) - {State.SCORE}, retry=RetryPolicy(max_attempts=3))
    def score(loan: Loan) -> State:
        seen.append((loan.score, list(loan.notes)))
        loan.score += 1
        loan.notes.append("tried")
        if len(seen) < 3:
            raise TransientError("again")
        return State.DONE

    run = Driven(machine, Loan(1))
    outcome = await run.go()
    assert outcome == Succeed({"state": "done", "data": Loan(1, 1, ["tried"])})
    assert seen == [(0, []), (0, []), (0, [])]


async def test_a_state_that_goes_where_it_may_not_fails_the_run_and_undoes() -> None:
    """[M2] [M5] [M8]"""
    world = World()
    machine = loan(world)

    machine.forms.pop("review")

    @machine.state(State.REVIEW, to=State.DONE)
    async def review(loan: Loan) -> Any:
        return State.REJECTED

    run = Driven(machine, Loan(7))
    outcome = await run.go()
    assert isinstance(outcome, CleanedUp)
    assert outcome.error is not None
    assert "cannot go from state 'review' to 'rejected'" in outcome.error.message
    assert world.done[-1] == "undo at 10"


async def test_what_is_done_is_undone_in_reverse_with_the_data_of_then() -> None:
    """[M5] [M8]"""
    world = World()
    machine = loan(world)
    machine.forms.pop("review")

    @machine.state(State.REVIEW, to={State.DONE, State.VALIDATE})
    async def review(loan: Loan, ctx: StateContext) -> State:
        if ctx.visit == 2:
            raise PermanentError("no reviewer")
        return State.VALIDATE

    run = Driven(machine, Loan(7))
    outcome = await run.go()
    assert isinstance(outcome, CleanedUp)
    assert "no reviewer" in str(outcome.error)
    assert world.done[-2:] == ["undo at 20", "undo at 10"]
    writes = len(run.runtime.journal)
    for write in range(1, writes + 1):
        world.done.clear()
        run = Driven(machine, Loan(7))
        await run.die_at(write)
        again = await run.go()
        assert (again.error.message, again.errors) == (outcome.error.message, outcome.errors)
        undone = [name for name in world.done if name.startswith("undo")]
        assert list(dict.fromkeys(undone)) == ["undo at 20", "undo at 10"], write


async def test_routers_that_go_round_end_the_run() -> None:
    class Loop(StrEnum):
        A = auto()
        B = auto()
        END = auto()

    machine: Any = Machine("loop", Loop, start=Loop.A, ends={Loop.END}, data=Loan)
    machine.router(Loop.A, to={Loop.B})(lambda loan: Loop.B)
    machine.router(Loop.B, to={Loop.A, Loop.END})(lambda loan: Loop.A)
    outcome = await Driven(machine, Loan(1)).go()
    assert isinstance(outcome, Raised)
    assert "go round in a circle: a -> b -> a" in outcome.error.message


async def test_a_long_run_continues_as_new_where_nothing_is_to_be_undone() -> None:
    """[M9]"""

    class Count(StrEnum):
        UP = auto()
        END = auto()

    machine: Any = Machine(
        "count", Count, start=Count.UP, ends={Count.END}, data=Loan, restart_after=10
    )

    @machine.state(Count.UP, to=set(Count))
    async def up(loan: Loan, ctx: StateContext) -> Count:
        loan.score += 1
        assert ctx.visit == loan.score
        return Count.END if loan.score == 35 else Count.UP

    run = Driven(machine, Loan(1))
    assert await run.go() == Succeed({"state": "end", "data": Loan(1, 35)})
    assert run.restarts == 3
    assert len(run.runtime.journal) < 25
    for write in range(1, 22):  # through the first restart
        run = Driven(machine, Loan(1))
        if write < 21:
            await run.die_at(write)
        assert await run.go() == Succeed({"state": "end", "data": Loan(1, 35)})


async def test_a_long_run_with_something_to_undo_keeps_its_history() -> None:
    """[M8] [M9] Continuing as new would drop what undoes it."""

    class Count(StrEnum):
        UP = auto()
        END = auto()

    undone: list[int] = []
    machine: Any = Machine(
        "count", Count, start=Count.UP, ends={Count.END}, data=Loan, restart_after=2
    )

    @machine.state(Count.UP, to=set(Count), compensate=lambda loan: undone.append(loan.score))
    async def up(loan: Loan) -> Count:
        loan.score += 1
        if loan.score == 6:
            raise PermanentError("enough")
        return Count.UP

    run = Driven(machine, Loan(1))
    assert isinstance(await run.go(), CleanedUp)
    assert (run.restarts, undone) == (0, [5, 4, 3, 2, 1])
