"""
The machines under attack: slow states, branches, pages, and a way that goes round; and one that
polls, waits, and undoes what it has done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum, auto
from pathlib import Path

from stepflow import Join, Machine, More, PermanentError, StateContext, current_step
from tests.crash.support.app import QUICK, WITNESS, app
from tests.crash.support.flow import saw


class State(StrEnum):
    WORK = auto()
    SPLIT = auto()
    PAGES = auto()
    ROUTE = auto()
    END = auto()


@dataclass
class Tour:
    rounds: int
    done: list[str] = field(default_factory=list)


tour = Machine("tour", State, start=State.WORK, ends={State.END}, data=Tour, retry=QUICK)


@tour.state(State.WORK, to=State.SPLIT)
async def work(data: Tour, ctx: StateContext) -> State:
    saw(ctx.run_id, f"work-{ctx.visit}")
    await asyncio.sleep(0.05)
    data.done.append(f"work-{ctx.visit}")
    return State.SPLIT


async def one(data: Tour, ctx: StateContext) -> int:
    saw(ctx.run_id, f"one-{ctx.visit}")
    await asyncio.sleep(0.05)
    return 1


def two(data: Tour, ctx: StateContext) -> int:
    saw(ctx.run_id, f"two-{ctx.visit}")
    return 2


tour.split(State.SPLIT, [one, two], join=Join.all(), to=State.PAGES)


@tour.stepped(State.PAGES, to=State.ROUTE)
async def pages(data: Tour, cursor: int | None, ctx: StateContext) -> State | More:
    at = cursor or sum(ctx.branches["split"])
    saw(ctx.run_id, f"page-{ctx.visit}-{at}")
    await asyncio.sleep(0.05)
    data.done.append(f"page-{ctx.visit}-{at}")
    return State.ROUTE if at == 5 else More(at + 1)


@tour.router(State.ROUTE, to={State.WORK, State.END})
def route(data: Tour) -> State:
    return State.END if len(data.done) >= data.rounds * 4 else State.WORK


class Stage(StrEnum):
    BOOK = auto()
    COME = auto()
    WAIT = auto()
    PAY = auto()
    DONE = auto()


@dataclass
class Trip:
    fails: bool
    done: list[str] = field(default_factory=list)


trip = Machine("trip", Stage, start=Stage.BOOK, ends={Stage.DONE}, data=Trip, retry=QUICK)


async def undo(data: Trip) -> None:
    step = current_step()
    assert step is not None
    saw(step.run_id, f"undo {'+'.join(data.done)}")
    await asyncio.sleep(0.2)


@trip.state(Stage.BOOK, to=Stage.COME, compensate=undo)
async def book(data: Trip, ctx: StateContext) -> Stage:
    saw(ctx.run_id, "book")
    await asyncio.sleep(0.2)
    data.done.append("book")
    return Stage.COME


@trip.poll(Stage.COME, to=Stage.WAIT, every=0.1, compensate=undo)
async def come(data: Trip, ctx: StateContext) -> Stage | None:
    """Come after three calls, whoever makes them."""
    saw(ctx.run_id, "come")
    data.done.append("come")
    calls = Path(str(WITNESS)).read_text().split("\n").count(f"{ctx.run_id} come")
    return Stage.WAIT if calls >= 3 else None


trip.timer(Stage.WAIT, 0.3, to=Stage.PAY)


@trip.state(Stage.PAY, to=Stage.DONE, compensate=undo)
async def pay(data: Trip, ctx: StateContext) -> Stage:
    saw(ctx.run_id, "pay")
    await asyncio.sleep(0.2)
    if data.fails:
        raise PermanentError("no money")
    data.done.append("pay")
    return Stage.DONE


app.machine(tour)
app.machine(trip)
