"""The test that docs/testing.md shows, word for word."""

from datetime import timedelta

from stepflow import Context, Stepflow
from stepflow.testing import Harness

app = Stepflow()


async def search(topic: str) -> list[str]:
    raise ConnectionError("the real one asks the web")


async def publish(hits: list[str]) -> str:
    return f"published {len(hits)}"


@app.workflow("research")
async def research(ctx: Context, topic: str) -> str:
    hits = await ctx.step("search", search, topic)
    await ctx.sleep(timedelta(days=3))
    answer = await ctx.wait_for_signal("review", timeout=timedelta(days=7))
    return await ctx.step("publish", publish, hits) if answer == "go" else "dropped"


async def test_research_waits_three_days_and_for_a_person() -> None:
    async with Harness(app) as h:
        found = h.mock("search", ["a", "b"])
        h.crash_after("search")
        run = await h.submit("research", "bees")
        await h.advance(timedelta(days=3))
        await h.signal(run, "review", "go")
        assert await h.result(run) == "published 2"
        assert len(found.calls) == 1  # though the worker died right after it


async def test_nobody_answers() -> None:
    async with Harness(app) as h:
        h.mock("search", ["a"])
        run = await h.submit("research", "bees")
        await h.advance(timedelta(days=10))
        assert await h.result(run) == "dropped"
