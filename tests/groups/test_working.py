"""[K6] [K7] Groups with workers: begun, counted and ended by them, awaited, told of by webhooks."""

import pytest

from stepflow import Continue, RunSpec, Step, Succeed

pytestmark = pytest.mark.anyio if False else []


def etl_of(app):
    @app.runner("etl")
    async def etl(step: Step[int]):
        if step.payload < 0:
            raise ValueError(step.payload)
        if step.number == 0 and step.payload % 2:
            return Continue(step.payload)
        return Succeed(step.payload)

    return etl


async def test_workers_run_a_group_to_its_end(app, working, aclient):
    etl = etl_of(app)
    async with working(app):
        await app.aclient.groups.submit("g", {f"k{n}": RunSpec(etl, n) for n in range(20)})
        info = await aclient.groups.wait("g", timeout=10)
    assert (info.state, info.succeeded) == ("succeeded", 20)


def test_what_a_client_left_unfinished_a_worker_begins(app, working, client, clock):
    """[K6] The client was killed when the manifest was written, and had begun nothing."""
