"""A run's timeout counts from its submit and ends it wherever it stands."""

import pytest

from stepflow import RunFailed


async def test_a_run_past_its_timeout_fails_even_if_nobody_works_on_it(app, client, working, away):
    """[C23]"""
    async with working(app, queues=["another"]):
        run = await away(lambda: client.submit("report", timeout=0.05, run_id="r1"))
        with pytest.raises(RunFailed, match=r"run 'r1' failed \(DeadlineExceeded\)"):
            await away(run.result, 10)
