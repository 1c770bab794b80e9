"""AsyncClient has the same methods, awaited: for web apps."""

import asyncio

from stepflow import AsyncClient, Step, Succeed


async def test_a_web_app_submits_and_waits_without_blocking(app, url, working):
    """[C41]"""

    @app.runner("double")
    async def double(step: Step):
        return Succeed(2 * step.payload)

    async with working(app), AsyncClient(url) as client:
        runs = await client.submit_many([("double", number) for number in range(50)])
        assert await asyncio.gather(*[run.result(10) for run in runs]) == list(range(0, 100, 2))
