"""Of what is due on one queue, high goes before normal before low."""

from stepflow import RunSpec, Step, Succeed


async def test_the_urgent_goes_first(app, client, working, away):
    """[C5] [C9]"""
    order = []

    @app.runner("note")
    async def note(step: Step):
        order.append(step.payload)
        return Succeed()

    runs = client.submit_many(
        [RunSpec("note", priority, priority=priority) for priority in ("low", "normal", "high")]
    )
    async with working(app, concurrency=1):
        for run in runs:
            await away(run.wait, 10)
    assert order == ["high", "normal", "low"]
