"""A typed function as a run of one step: `@app.job`."""

from dataclasses import dataclass


@dataclass
class Size:
    width: int
    height: int


async def test_a_job_is_called_like_a_function_and_runs_on_a_worker(app, working):
    """[C18]"""

    @app.job(name="resize", dedup=True)
    async def resize(path: str, px: int) -> Size:
        return Size(px, px // 2)

    async with working(app):
        run = await resize.submit("a.png", 80)
        assert await run.result(10) == Size(80, 40)
        again = await resize.submit("a.png", 80)
    assert (again.id, again.created) == (run.id, False)
    await app.async_client.close()
