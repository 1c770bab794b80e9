"""Maintenance restores what indexes lost, and notices children whose records are gone."""

import pytest

from stepflow import ChildFailed, Context, Succeed
from tests.engine.test_damage import is_in
from tests.support import until


@pytest.mark.crash
async def test_runs_that_the_due_set_the_claims_and_the_queues_lost_go_on(
    app, aclient, working, real, ghost
):
    """[B19] `DEL` of three keys, one of them with the claims of a worker that is gone."""

    @app.runner("x")
    async def x(step):
        return Succeed(step.number)

    held = await aclient.submit("x")
    ghost.claim("x")
    later = await aclient.submit("x", delay=0.5)
    queued = await aclient.submit("x")
    for key in ("due", "claims", "pending:default"):
        real.delete(f"stepflow:{key}")
    real.delete("rq:queue:default", "stepflow:wake:default")
    async with working(app):
        assert [await run.result(60) for run in (later, queued, held)] == [0, 0, 0]


async def test_a_parent_is_told_that_a_child_failed_whose_record_is_gone(
    app, aclient, working, real
):
    """[B31]"""

    @app.workflow("child")
    async def child(ctx: Context, number: int) -> int:
        await ctx.wait_for_signal("go")
        return number

    @app.workflow("parent")
    async def parent(ctx: Context) -> list[object]:
        one = await ctx.spawn("child", 7)
        try:
            await one.result()
        except ChildFailed as error:
            lost = str(error)
        return [
            lost,
            [str(end) for end in await ctx.map("child", [1, 2, 3], limit=1, join="settled")],
        ]

    run = await aclient.submit("parent", run_id="p")
    async with working(app):
        await until(lambda: is_in(aclient, "p", "waiting"))
        [one] = [status.id for status in await aclient.list() if status.id != "p"]
        forget(real, one)
        siblings = await until(lambda: begun(aclient, 3))
        forget(real, siblings[0])
        forget(real, siblings[1])
        await until(lambda: is_in(aclient, siblings[2], "waiting"))
        await until(lambda: listens(aclient, siblings[2]))
        await aclient.signal(siblings[2], "go")
        lost, results = await run.result(60)
    assert lost == f"child {one!r} failed (RecordGone): its record is gone"
    gone = [
        f"child {child_id!r} failed (RecordGone): its record is gone" for child_id in siblings[:2]
    ]
    assert results == [*gone, "3"]
    real.flushall()


def forget(real, run_id):
    """Take a run out of the database as an eviction would: its keys, and nothing else."""
    real.delete(*real.scan_iter(f"stepflow:run:{run_id}*"))


async def begun(aclient, count):
    found = sorted(status.id for status in await aclient.list(runner="child") if "-" in status.id)
    return found if len(found) == count else None


async def listens(aclient, run_id):
    run = await aclient.status(run_id)
    return "signal" in (run.waits_for or "")
