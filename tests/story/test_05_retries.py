"""A step that raises is tried again, by a policy; the count is kept in Redis."""

import pytest

from stepflow import PermanentError, RetryPolicy, RunFailed, Step, Succeed, TransientError


async def test_a_flaky_step_gets_its_attempts(app, client, working, away):
    """[C20]"""

    @app.runner("fetch", retry=RetryPolicy(max_attempts=5, initial=0.01))
    async def fetch(step: Step):
        if step.attempt < 3:
            raise TransientError("503")
        return Succeed(f"attempt {step.attempt}")

    async with working(app):
        run = await away(client.submit, "fetch")
        assert await away(run.result, 10) == "attempt 3"


async def test_a_permanent_error_ends_the_run_at_once(app, client, working, away):
    """[C20]"""

    @app.runner("fetch")
    async def fetch(step: Step):
        raise PermanentError("no such account")

    async with working(app):
        run = await away(lambda: client.submit("fetch", run_id="f1"))
        with pytest.raises(RunFailed, match=r"run 'f1' failed \(PermanentError\): no such account"):
            await away(run.result, 10)
