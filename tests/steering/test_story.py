"""An operator makes runs stand, go on, start now and go away, one or many at a time."""

from stepflow import Context, RunState, Step, Succeed
from tests.support import until


def test_a_run_that_waits_is_paused_and_goes_on_where_it_stood(client):
    """[O9]"""
    run = client.submit("report", delay=3600)
    due_at = client.status(run.id).due_at
    assert client.pause(run.id, "the provider is down", by="ann")
    assert client.status(run.id).state is RunState.PAUSED
    client.resume(run.id, by="ann")
    status = client.status(run.id)
    assert (status.state, status.due_at) == ("scheduled", due_at)


async def test_a_paused_workflow_takes_its_signal_and_hears_of_it_when_it_is_resumed(
    app, client, working, away
):
    """[O9]"""

    @app.workflow("review")
    async def review(ctx: Context):
        return await ctx.wait_for_signal("verdict")

    async with working(app):
        run = await away(client.submit, "review")
        await until(lambda: client.status(run.id).state is RunState.WAITING)
        await away(client.pause, run.id)
        await away(client.signal, run.id, "verdict", "yes")
        assert client.status(run.id).state is RunState.PAUSED
        await away(client.resume, run.id)
        assert await away(run.result, 10) == "yes"


async def test_a_queue_is_paused_while_its_provider_is_down(app, client, working, away):
    """[O12]"""

    @app.runner("mail")
    async def mail(step: Step):
        return Succeed("sent")

    client.pause_queue("mail", "the provider is down", by="ann")
    async with working(app, queues=["mail", "default"]):
        held = await away(client.submit, "mail", queue="mail")
        other = await away(client.submit, "mail")
        assert await away(other.result, 10) == "sent"
        assert client.status(held.id).state is RunState.PENDING
        await away(client.resume_queue, "mail")
        assert await away(held.result, 10) == "sent"


def test_what_is_scheduled_is_started_now(client):
    """[O10]"""
    run = client.submit("report", delay=3600)
    assert client.run_now(run.id)
    assert client.status(run.id).state is RunState.PENDING


def test_nothing_is_left_of_a_deleted_run(client):
    """[O11]"""
    run = client.submit("report", {"name": "Ann"})
    run.cancel()
    assert client.delete(run.id)
    assert client.status(run.id) is None


async def test_many_runs_are_cancelled_at_once_by_the_workers(app, client, working, away):
    """[O13] [O14]"""
    for number in range(5):
        client.submit("report", number, headers={"tenant": "acme"}, delay=3600)
    kept = client.submit("report", headers={"tenant": "umbrella"}, delay=3600)
    seen = client.preview("cancel", "header.tenant=acme")
    assert seen.count == 5
    begun = client.bulk("cancel", "header.tenant=acme", expect=seen.count, rate=1000)
    async with working(app):
        await until(lambda: client.bulk_info(begun.id).state == "done")
    assert client.bulk_info(begun.id).done == 5
    assert client.status(kept.id).state is RunState.SCHEDULED
