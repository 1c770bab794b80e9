"""When a run ends, the app is told: at least once, tried again until it works."""

import asyncio

from stepflow import Fail, RunOutcome, Step


async def test_a_function_of_the_app_is_told_of_every_end(app, client, working, away):
    """[C29] [C30]"""
    told: asyncio.Queue[RunOutcome] = asyncio.Queue()

    @app.on_terminal
    async def note(outcome: RunOutcome):
        await told.put(outcome)

    @app.runner("order")
    async def order(step: Step):
        return Fail("out of stock")

    async with working(app):
        await away(lambda: client.submit("order", run_id="o1", headers={"tenant": "t1"}))
        outcome = await asyncio.wait_for(told.get(), 10)
    assert (outcome.run_id, outcome.status, outcome.error.message) == (
        "o1",
        "failed",
        "out of stock",
    )
    assert outcome.headers == {"tenant": "t1"}
