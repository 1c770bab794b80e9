"""
Runs that failed for good are the dead letters; once the cause is mended they go on where they
stopped.
"""

from stepflow import Continue, RetryPolicy, Step, Succeed


async def test_a_failed_run_is_retried_at_its_last_step(app, client, working, away):
    """[C21]"""
    mended = []

    @app.runner("ship", retry=RetryPolicy(max_attempts=1))
    async def ship(step: Step):
        if step.number == 0:
            return Continue("packed")
        if not mended:
            raise ConnectionError("the carrier is down")
        return Succeed(f"{step.payload} and shipped")

    async with working(app):
        run = await away(lambda: client.submit("ship", run_id="s1"))
        await away(run.wait, 10)
        assert [dead.id for dead in client.list(state="failed")] == ["s1"]
        mended.append(True)
        await away(client.retry, "s1")
        assert await away(run.result, 10) == "packed and shipped"
