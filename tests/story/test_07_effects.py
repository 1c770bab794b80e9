"""A step may write keys of its run's own space: with its outcome, or not at all."""

from stepflow import Continue, RetryPolicy, Step, Succeed


async def test_effects_come_with_the_outcome_and_go_with_an_error(app, client, working, away):
    """[C17]"""

    @app.runner("import", retry=RetryPolicy(initial=0.01))
    async def run_import(step: Step):
        step.effects.put("rows", 100 * (step.number + 1))
        if step.number == 1 and step.attempt == 1:
            step.effects.put("half", "done")
            raise ValueError
        return Continue() if step.number == 0 else Succeed()

    async with working(app):
        run = await away(lambda: client.submit("import", run_id="i1"))
        await away(run.wait, 10)
    assert (client.kv("i1", "rows"), client.kv("i1", "half")) == (200, None)
