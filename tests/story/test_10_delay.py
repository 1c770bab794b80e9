"""A run, or its next step, can wait for its time without costing a worker."""

from stepflow import Continue, Step, Succeed


async def test_a_run_can_start_later_and_sleep_between_steps(app, client, working, away):
    """[C10] [C19]"""

    @app.runner("remind")
    async def remind(step: Step):
        return Continue(delay=0.05) if step.number == 0 else Succeed("reminded")

    later = client.submit("remind", delay=3600)
    soon = client.submit("remind", delay=0.05)
    assert later.status().state == soon.status().state == "scheduled"
    async with working(app):
        assert await away(soon.result, 10) == "reminded"
    assert later.status().waits_for.startswith("its due time")
