"""Headers travel with the run, unchanged, to every step."""

import pytest

from stepflow import Continue, Step, Succeed
from stepflow.errors import ReservedHeader


async def test_every_step_sees_the_headers(app, client, working, away):
    """[C4]"""

    @app.runner("two-steps")
    async def two_steps(step: Step):
        return Continue() if step.number == 0 else Succeed(step.headers["tenant"])

    async with working(app):
        run = await away(lambda: client.submit("two-steps", headers={"tenant": "t1"}))
        assert await away(run.result, 10) == "t1"


def test_headers_of_the_runtimes_own_are_refused(client):
    """[C4]"""
    with pytest.raises(ReservedHeader, match=r"keys starting with 'workflow\.' belong to stepflow"):
        client.submit("x", headers={"workflow.id": "mine"})
