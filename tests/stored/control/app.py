"""The app whose runs stand in this sample; its code must go on fitting them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from stepflow import Breaker, Limit, Machine, RetryPolicy, Step, Stepflow, Succeed
from stepflow.settings import RetentionSettings, Settings, WorkerSettings
from tests.stored.app import FAR_S

FAR = timedelta(seconds=FAR_S)
#: what was computed for the shared value; today's code never computes it
COMPUTED = [38.7, -9.1]


class State(StrEnum):
    CHECK = "check"
    ROUTE = "route"
    REVIEW = "review"
    PAID = "paid"
    REFUSED = "refused"


@dataclass
class Claim:
    amount: int
    checked: int = 0


def make_app(url: str) -> Stepflow:
    """Make the app, on any Redis."""
    settings = Settings(
        worker=WorkerSettings(lease_s=2.0, grace_s=1.0, stop_grace_s=0.3),
        retention=RetentionSettings(result_s=FAR_S, hook_s=FAR_S, delivered_s=FAR_S),
    )
    app = Stepflow(url, settings=settings)
    app.machine(make_machine())
    add_workflows(app)
    return app


def make_machine() -> Machine[State, Claim]:
    """Make a machine that asks on its way."""
    claims = Machine(
        "claims", State, start=State.CHECK, ends={State.PAID, State.REFUSED}, data=Claim
    )

    @claims.state(State.CHECK, to=State.ROUTE)
    async def check(claim: Claim) -> State:
        claim.checked += 1
        return State.ROUTE

    @claims.router(State.ROUTE, to={State.REVIEW, State.PAID})
    def route(claim: Claim) -> State:
        return State.REVIEW if claim.amount > 100 else State.PAID

    @claims.ask(State.REVIEW, bool, "Pay it?", to={State.PAID, State.REFUSED})
    async def review(claim: Claim, answer: bool) -> State:
        return State.PAID if answer else State.REFUSED

    return claims


def add_workflows(app: Stepflow) -> None:
    """Add what waits for each thing that there is to wait for."""

    @app.workflow("waits", retry=RetryPolicy(max_attempts=1))
    async def waits(ctx: Any, what: str) -> Any:
        if what == "fail":
            raise ValueError(what)
        return await ctx.wait_for_signal("go")

    @app.workflow("limited", limits=[Limit("slot", concurrency=1, scope="run", key="header.who")])
    async def limited(ctx: Any) -> Any:
        return await ctx.wait_for_signal("go")

    @app.workflow("guarded")
    async def guarded(ctx: Any, what: str) -> Any:
        return await ctx.options(breaker=Breaker("ledger")).step("book", str, what)

    @app.workflow("shared")
    async def shared(ctx: Any, what: str) -> Any:
        async def look(what: str) -> list[float]:
            if what != "first":
                msg = "it is shared, and not computed again"
                raise AssertionError(msg)
            return COMPUTED

        return await ctx.options(cache=FAR, cache_key="lisbon").step("look", look, what)

    @app.workflow("timed")
    async def timed(ctx: Any, what: str) -> Any:
        if what == "timer":
            await asyncio.sleep(FAR_S)
        try:
            async with asyncio.timeout(FAR_S):
                return await ctx.wait_for_signal("go")
        except TimeoutError:
            return "too late"

    @app.runner("quick")
    async def quick(step: Step[int]) -> Any:
        return Succeed(step.payload)
