"""[M5] [M6] The forms of a state, each crashed at every write of its run."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, auto
from typing import Any

import pytest

from stepflow import (
    Failed,
    Join,
    Machine,
    More,
    Pending,
    PermanentError,
    RetryPolicy,
    StateContext,
    StepFailed,
    Succeed,
    TransientError,
)
from stepflow.core.outcomes import CleanedUp, Park, Raised
from stepflow.errors import ClaimLost
from tests.kits.machine.driving import Driven
from tests.kits.memory import World


class State(StrEnum):
    WORK = auto()
    LOOK = auto()
    LATE = auto()
    DONE = auto()


@dataclass
class Job:
    n: int = 0
    seen: list[Any] = field(default_factory=list)


@dataclass
class Price:
    amount: int


def make(declare: Callable[[Any, World], None], world: World, **options: Any) -> Any:
    """A machine whose state WORK *declare* says, and that notes in LOOK what it finds."""
    machine: Any = Machine("m", State, start=State.WORK, ends={State.DONE}, data=Job, **options)
    declare(machine, world)

    @machine.state(State.LOOK, to={State.DONE, State.WORK, State.LATE})
    async def look(job: Job, ctx: StateContext) -> State:
        for each in ctx.branches.get("work", ()):
            is_failed = isinstance(each, Failed)
            job.seen.append(type(each.error).__name__ if is_failed else each.amount)
        return State.DONE if ctx.visit == job.n or not job.n else State.WORK

    machine.state(State.LATE, to=State.DONE)(late)
    return machine


async def late(job: Job) -> State:
    job.seen.append("late")
    return State.DONE


async def crash_everywhere(
    declare: Callable[[Any, World], None],
    job: Job,
    *,
    most: dict[str, int] | None = None,
    **options: Any,
) -> Driven:
    """Crash at each write: the end is the same, and nothing recorded is done again."""
    world = World()
    whole = Driven(make(declare, world, **options), job)
    expected = await whole.go()
    assert isinstance(expected, Succeed), expected
    for write in range(1, len(whole.runtime.journal) + 1):
        again = World()
        run = Driven(make(declare, again, **options), job)
        await run.die_at(write)
        assert await run.go() == expected, write
        assert run.way == whole.way, write
        for name, count in Counter(again.done).items():
            assert count <= Counter(world.done)[name] + 1, (write, name)
    return whole


def end(*seen: Any, n: int = 0) -> Any:
    return {"state": "done", "data": Job(n, list(seen))}


def polls(machine: Any, world: World) -> None:
    @machine.poll(State.WORK, to=State.LOOK, every=60)
    async def poll(job: Job) -> State | Pending | None:
        await world.act("poll")
        job.seen.append("polled")
        if len(world.done) % 3:
            return Pending(5) if len(world.done) % 2 else None
        return State.LOOK


async def test_a_poll_asks_until_it_has_a_state() -> None:
    """[M5] What tries without an answer did to the data is lost."""
    world = World()
    run = Driven(make(polls, world), Job())
    began = run.runtime.clock
    assert await run.go() == Succeed(end("polled"))
    assert world.done == ["poll"] * 3
    assert 65 <= run.runtime.clock - began < 66


async def test_a_poll_has_a_bound_and_goes_elsewhere_then() -> None:
    """[M5]"""

    def never(machine: Any, world: World) -> None:
        machine.poll(State.WORK, to=State.LOOK, every=60, timeout=150, on_timeout=State.LATE)(
            lambda job: None
        )

    await crash_everywhere(never, Job())

    def fails(machine: Any, world: World) -> None:
        machine.poll(State.WORK, to=State.LOOK, every=60, timeout=150)(lambda job: None)

    outcome = await Driven(make(fails, World()), Job()).go()
    assert isinstance(outcome, Raised)
    assert outcome.error.message == "state 'work' had no answer within 150 s"


@pytest.mark.parametrize(("errors", "calls"), [(0, 1), (1, 1), (3, 3)])
async def test_a_poll_bears_so_many_errors_in_a_row(errors: int, calls: int) -> None:
    """[M5]"""

    def broken(machine: Any, world: World) -> None:
        @machine.poll(State.WORK, to=State.LOOK, every=1, max_errors=errors)
        async def poll(job: Job) -> State:
            await world.act("poll")
            raise TransientError("down")

    world = World()
    outcome = await Driven(make(broken, world), Job()).go()
    assert isinstance(outcome, Raised)
    assert len(world.done) == calls


def batches(machine: Any, world: World) -> None:
    def load(job: Job) -> list[int]:
        world.done.append("load")
        return list(range(5))

    async def each(item: int) -> Price:
        await world.act(f"item {item}")
        if item == 3:
            raise PermanentError("no price")
        return Price(item * 10)

    @machine.batch(State.WORK, load, each, to=State.LOOK, limit=2)
    async def finish(job: Job, found: list[Price | Failed], ctx: StateContext) -> State:
        await world.act("finish")
        for slot in found:
            job.seen.append(slot.index if isinstance(slot, Failed) else f"{slot.amount}")
        return State.LOOK


async def test_a_batch_loads_works_and_finishes_in_the_order_of_its_items() -> None:
    """[M5]"""
    whole = await crash_everywhere(batches, Job())
    assert (await whole.go()).result == end("0", "10", "20", 3, "40")


def stepped(machine: Any, world: World) -> None:
    @machine.stepped(State.WORK, to=State.LOOK)
    async def page(job: Job, cursor: int | None, ctx: StateContext) -> State | More:
        await world.act(f"{ctx.visit}: from {cursor}")
        job.seen.append(cursor)
        at = cursor or 0
        return State.LOOK if at == 2 else More(at + 1)


PAGES = [f"{visit}: from {cursor}" for visit in (1, 2) for cursor in (None, 1, 2)]


async def test_a_stepped_state_keeps_its_cursor_and_begins_each_visit_without() -> None:
    """[M5]"""
    world = World()
    assert await Driven(make(stepped, world), Job(2)).go() == Succeed(
        end(None, 1, 2, None, 1, 2, n=2)
    )
    assert world.done == PAGES
    await crash_everywhere(stepped, Job(2))


async def test_a_stepped_state_goes_on_in_a_new_history() -> None:
    """[M5] [M9]"""
    world = World()
    run = Driven(make(stepped, world, restart_after=2), Job(2))
    assert await run.go() == Succeed(end(None, 1, 2, None, 1, 2, n=2))
    assert world.done == PAGES
    assert run.restarts == 4


def splits(join: Any, **options: Any) -> Callable[[Any, World], None]:
    def declare(machine: Any, world: World) -> None:
        async def bureau(job: Job) -> Price:
            await world.act("bureau")
            return Price(1)

        async def history(job: Job, ctx: StateContext) -> Price:
            await world.act(f"history {ctx.state}")
            job.seen.append("not kept")
            raise PermanentError("no history")

        async def fraud(job: Job) -> Price:
            await world.act("fraud")
            return Price(3)

        machine.split(State.WORK, [bureau, history, fraud], join=join, to=State.LOOK, **options)

    return declare


def split_machine(join: Any, world: World, **options: Any) -> Driven:
    return Driven(make(splits(join, **options), world), Job())


@pytest.mark.parametrize("limit", [None, 1, 2])
async def test_the_branches_of_a_split_are_there_in_the_next_state(limit: int | None) -> None:
    """[M6]"""
    world = World()
    run = split_machine(Join.settled(), world, limit=limit)
    assert await run.go() == Succeed(end(1, "StepFailed", 3))
    assert [entry.name for entry in run.entries][:4] == [
        "work", "work[0]", "work[1]", "work[2]",
    ]  # fmt: skip
    for write in range(1, len(run.runtime.journal) + 1):
        again = World()
        crashed = split_machine(Join.settled(), again, limit=limit)
        await crashed.die_at(write)
        durable = {entry.name for entry in crashed.entries if entry.name.startswith("work[")}
        before = len(again.done)
        assert await crashed.go() == Succeed(end(1, "StepFailed", 3))
        redone = again.done[before:]
        assert not ("bureau" in redone and "work[0]" in durable)
        assert not ("fraud" in redone and "work[2]" in durable)


async def test_a_join_that_is_met_gives_a_slot_for_each_branch() -> None:
    """[M6]"""
    run = split_machine(Join.quorum(2), World(), limit=1)
    assert await run.go() == Succeed(end(1, "StepFailed", 3))
    run = split_machine(Join.any(), World(), limit=1)
    assert await run.go() == Succeed(end(1, "NotAnswered", "NotAnswered"))


async def test_a_join_that_is_not_met_fails_the_run_with_the_first_errors() -> None:
    """[M6]"""
    outcome = await split_machine("all", World()).go()
    assert isinstance(outcome, Raised)
    assert outcome.error.type == "JoinNotMet"
    assert "join all() of 3 is not met" in outcome.error.message
    assert (
        "[1] StepFailed: step 'work[1]' failed (PermanentError): no hist" in outcome.error.message
    )


@pytest.mark.parametrize(
    "after",
    [90, timedelta(seconds=90), lambda job: 90 + job.n],
    ids=["seconds", "timedelta", "function"],
)
async def test_a_timer_is_fixed_when_its_state_is_entered(after: Any) -> None:
    """[M5]"""

    def waits(machine: Any, world: World) -> None:
        machine.timer(State.WORK, after, to=State.LOOK)

    def made() -> Driven:
        return Driven(make(waits, World()), Job())

    whole = made()
    began = whole.runtime.clock
    assert await whole.go() == Succeed(end())
    assert 90 <= whole.runtime.clock - began < 91
    for write in range(1, len(whole.runtime.journal) + 1):
        run = made()
        await run.die_at(write)
        run.runtime.clock += 30 if write == 2 else 0  # a crash does not prolong the wait
        assert await run.go() == Succeed(end())
        assert run.runtime.clock - began < 91, write


async def test_a_timer_may_wait_for_a_moment() -> None:
    """[M5]"""

    def waits(machine: Any, world: World) -> None:
        moment = datetime.fromisoformat("2027-01-15T08:05:00+00:00")  # 300 s from the clock's now
        machine.timer(State.WORK, moment, to=State.LOOK)

    run = Driven(make(waits, World()), Job())
    assert await run.go() == Succeed(end())
    assert run.runtime.clock == pytest.approx(1_800_000_300, abs=1)


async def test_people_are_asked_and_their_answer_leads_on() -> None:
    """[M5]"""
    timeout: float | None = 60

    def asks(machine: Any, world: World) -> None:
        @machine.ask(State.WORK, bool, "Pay?", to={State.LOOK, State.LATE}, timeout=timeout)
        async def decide(job: Job, answer: bool | None) -> State:
            job.seen.append(answer)
            return State.LATE if answer is None else State.LOOK

    run = Driven(make(asks, World()), Job())
    assert await run.go() == Succeed(end(None, "late"))
    timeout = None
    run = Driven(make(asks, World()), Job())
    assert isinstance(await run.go(), Park)
    run.runtime.answer(True)
    assert await run.go() == Succeed(end(True))


async def test_compensations_of_one_state_stand_for_each_of_its_visits() -> None:
    """[M5] [M8] One that fails is recorded; the others run, and the run has its own error."""
    undone: list[int] = []

    async def undo(job: Job) -> None:
        undone.append(job.n)
        if job.n == 2:
            raise PermanentError("cannot")

    def counts(machine: Any, world: World) -> None:
        @machine.state(
            State.WORK,
            to={State.WORK, State.LOOK, State.LATE},
            compensate=undo,
            retry=RetryPolicy(max_attempts=1),
        )
        def work(job: Job) -> State:
            if job.n == 3:
                raise ValueError("broken")
            job.n += 1
            return State.WORK

    outcome = await Driven(make(counts, World()), Job()).go()
    assert isinstance(outcome, CleanedUp)
    assert outcome.error is not None
    assert (outcome.error.type, undone) == (StepFailed.__name__, [3, 2, 1])
    assert [error.message for error in outcome.errors] == ["undo work: cannot"]


async def test_a_question_survives_a_crash_at_every_write() -> None:
    """[M5]"""

    def asks(machine: Any, world: World) -> None:
        @machine.ask(State.WORK, bool, "Pay?", to=State.LOOK)
        async def decide(job: Job, answer: bool) -> State:
            job.seen.append(answer)
            return State.LOOK

    async def answered(write: int | None) -> Driven:
        run = Driven(make(asks, World()), Job())
        run.runtime.crash_after = write
        for _ in range(3):
            try:
                if isinstance(await run.go(), Park):
                    run.runtime.answer(True)
                    continue
            except ClaimLost:
                run.runtime.crash_after = None
        return run

    whole = await answered(None)
    for write in range(1, len(whole.runtime.journal) + 1):
        run = await answered(write)
        assert await run.go() == Succeed(end(True)), write


async def test_an_undo_that_hangs_is_ended_and_the_others_still_run() -> None:
    """[M8]"""
    undone: list[int] = []

    async def undo(job: Job) -> None:
        if job.n == 2:
            await asyncio.sleep(1)
        undone.append(job.n)

    def counts(machine: Any, world: World) -> None:
        @machine.state(
            State.WORK, to={State.WORK, State.LOOK}, compensate=undo, undo_timeout=0.01,
            retry=RetryPolicy(max_attempts=1),
        )  # fmt: skip
        async def work(job: Job) -> State:
            if job.n == 3:
                raise ValueError("broken")
            job.n += 1
            return State.WORK

    outcome = await Driven(make(counts, World()), Job()).go()
    assert isinstance(outcome, CleanedUp)
    assert undone == [3, 1]
    assert [error.type for error in outcome.errors] == ["TimeoutError"]


async def test_branches_are_there_for_the_next_state_alone() -> None:
    """[M6]"""
    seen: list[list[str]] = []

    machine: Any = Machine("m", State, start=State.WORK, ends={State.DONE}, data=Job)
    machine.split(State.WORK, [lambda job: 1], to=State.LATE)

    @machine.state(State.LATE, to=State.LOOK)
    async def first(job: Job, ctx: StateContext) -> State:
        seen.append(list(ctx.branches))
        return State.LOOK

    @machine.state(State.LOOK, to=State.DONE)
    async def second(job: Job, ctx: StateContext) -> State:
        seen.append(list(ctx.branches))
        return State.DONE

    await Driven(machine, Job()).go()
    assert seen == [["work"], []]
