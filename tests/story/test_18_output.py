"""A step says what it has while it works, and whoever wants reads it, live or late."""

import stepflow
from stepflow import Context, OutputView, RetryPolicy, TransientError


async def test_a_reader_that_obeys_resets_shows_what_counts(app, client, working, away):
    """[E6] [E9]"""
    tries = []

    async def speak():
        tries.append(1)
        stepflow.emit("once " if len(tries) == 1 else "once more")
        if len(tries) == 1:
            raise TransientError("it broke off")

    @app.workflow("talk", retry=RetryPolicy(initial=0.01))
    async def talk(ctx: Context):
        await ctx.step(speak)

    view = OutputView()
    async with working(app):
        run = await away(lambda: client.submit("talk"))
        for event in await away(lambda: list(run.output())):
            view.apply(event)
    assert (view.text(), view.state) == ("once more", "succeeded")
