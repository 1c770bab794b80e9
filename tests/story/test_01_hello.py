"""A runner does one step at a time and says what becomes of the run."""

from stepflow import Continue, Step, Succeed


async def test_a_run_goes_from_step_to_step_until_it_succeeds(app, client, working, away):
    @app.runner("countdown")
    async def countdown(step: Step):
        left = step.payload["left"]
        if left == 0:
            return Succeed(f"lift-off after {step.number} steps")
        return Continue({"left": left - 1})

    async with working(app):
        run = await away(client.submit, "countdown", {"left": 3})
        assert await away(run.result, 10) == "lift-off after 3 steps"


async def test_a_plain_function_is_a_runner_too_and_runs_in_a_thread(app, client, working, away):
    @app.runner("shout")
    def shout(step: Step):
        return Succeed(step.payload.upper())

    async with working(app):
        run = await away(client.submit, "shout", "hello")
        assert await away(run.result, 10) == "HELLO"
