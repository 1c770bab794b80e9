"""The machine under attack: slow states, branches, pages, and a way that goes round."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum, auto

from stepflow import Join, Machine, More, StateContext
from tests.crash.support.app import QUICK, app
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


app.machine(tour)
