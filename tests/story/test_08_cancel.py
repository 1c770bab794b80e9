"""A run can be cancelled wherever it stands."""

import asyncio

import pytest

from stepflow import RunCancelled, Step, Succeed


def test_a_waiting_run_is_cancelled_before_the_call_returns(client):
    """[C25]"""
    run = client.submit("slow")
    assert run.cancel("changed my mind")
    with pytest.raises(RunCancelled, match="changed my mind"):
        run.result()


async def test_a_running_step_is_told_through_its_token(app, client, working, away):
    """[C26] [C27] Whatever it returns then, the run ends as cancelled."""
    started = asyncio.Event()

    @app.runner("slow")
    async def slow(step: Step):
        started.set()
        await step.cancel.wait()
        return Succeed("too late")

    async with working(app):
        run = await away(client.submit, "slow")
        await started.wait()
        assert await away(run.cancel, "enough")
        status = await away(run.wait, 10)
    assert (status.state, status.reason, status.result) == ("cancelled", "enough", None)
