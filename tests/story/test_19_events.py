"""What has happened to a run, told from its records: to whoever asks, late or live."""

from stepflow import Context


async def test_the_events_of_a_run_are_told_from_its_submit_to_its_end(app, client, working, away):
    """[E2]"""

    @app.workflow("order")
    async def order(ctx: Context):
        await ctx.step("charge", int)
        await ctx.wait_for_signal("paid", timeout=60)

    async with working(app):
        run = await away(lambda: client.submit("order"))
        await away(lambda: client.signal(run.id, "paid"))
        told = await away(lambda: [str(event.type) for event in client.events(run.id)])
    assert told == ["submitted", "started", "step.done", "waiting", "signal.taken", "ended"]
