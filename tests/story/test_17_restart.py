"""A run that has ended can be started anew under its id: the next generation."""

from stepflow import Step, Succeed


async def test_a_restart_is_a_new_generation_of_the_run(app, client, working, away):
    """[C8]"""

    @app.runner("sync")
    async def sync(step: Step):
        return Succeed(step.key)

    async with working(app):
        first = await away(lambda: client.submit("sync", run_id="nightly"))
        one = await away(first.result, 10)
        second = await away(lambda: client.submit("sync", run_id="nightly", on_conflict="restart"))
        two = await away(second.result, 10)
    assert one != two
    assert (second.created, second.status().generation) == (True, 1)
