"""Redis users with the rights that docs/running.md gives them, and with one less."""

import asyncio
from pathlib import Path

import pytest

from stepflow import AsyncClient, Client, Stepflow, Succeed, Webhook
from stepflow.entry import check_redis
from stepflow.errors import RedisRefused, RightsMissing
from stepflow.store.connection.address import Address
from stepflow.store.connection.sync import SyncConnection, carry_out
from stepflow.store.rights import CLIENT, VIEWER, WORKER, missing_rights
from tests.support import until

ROLES = {role.name: role for role in (WORKER, CLIENT, VIEWER)}
DOCS = " ".join(
    (Path(__file__).parents[2] / "docs" / "running.md").read_text().replace("\\\n", " ").split()
)


@pytest.fixture
def user(real, server, keys):
    """Make a Redis user with the rights of a role, less some; gives the URL to connect as it."""
    made = []

    def make(role, *, without=()):
        rules = [rule for rule in ROLES[role].rules(keys) if rule not in without]
        made.append(f"{role}{len(made)}")
        real.execute_command(
            "ACL",
            "SETUSER",
            made[-1],
            "reset",
            "on",
            ">pw",
            "resetkeys",
            "resetchannels",
            "-@all",
            *rules,
        )
        return f"{server}&username={made[-1]}&password=pw"

    yield make
    for name in made:
        real.execute_command("ACL", "DELUSER", name)


def serving(url, settings):
    app = Stepflow(url, settings=settings)

    @app.runner("x")
    async def x(step):
        await step.memo.put("seen", step.payload)
        if step.payload == "hold":
            await step.cancel.wait()
        return Succeed(step.payload)

    async def noted(what):
        return what

    @app.workflow("flow")
    async def flow(ctx):
        await ctx.vars.incr("n")
        await ctx.sleep(0.01)
        news = await ctx.wait_for_signal("news")
        decision = await ctx.ask(bool, "go on?")
        child = await ctx.spawn("x", 1)
        return [await ctx.step(noted, 1), news, decision, await child.result()]

    return app


@pytest.mark.parametrize("role", ROLES)
def test_the_docs_show_the_rights_of_each_role(role, keys):
    """[B24]"""
    shown = (
        f"ACL SETUSER {role} on '>secret' reset {' '.join(map(quoted, ROLES[role].rules(keys)))} "
    )
    assert shown.replace(" reset ", " resetkeys resetchannels -@all ") in DOCS, shown


def quoted(rule):
    """Write a rule for a shell, where most signs mean something."""
    return rule if rule.startswith("+") and "|" not in rule else f"'{rule}'"


async def test_a_worker_a_client_and_a_viewer_live_on_the_rights_that_the_docs_give_them(
    user, settings, working, real, keys
):
    """
    [B24] All that runs and workflows do, cancels that are heard at once, hooks, looks; nothing is
    refused.
    """
    real.execute_command("ACL", "LOG", "RESET")
    app = serving(user("worker"), settings)
    told = []

    @app.on_terminal
    def note(outcome):
        told.append(outcome.run_id)

    hook = Webhook("http://127.0.0.1:9/nobody-listens")
    async with working(app), AsyncClient(user("client"), settings=settings) as client:
        held = await client.submit("x", "hold", timeout=100)
        await until(lambda: real.hget(keys.run(held.id), "state") == b"running")
        assert await held.cancel()
        assert (await held.wait(60)).state == "cancelled"
        runs = [
            await client.submit("flow"),
            await client.submit("x", 5, webhooks=[hook], delay=0.01),
        ]
        await client.signal(runs[0].id, "news", "n")
        [ask] = await until(client.questions)
        await client.answer(ask.token, True)
        assert await runs[0].result(60) == [1, "n", True, 1]
        waiting = await client.submit("x", queue="nobody")
        assert await waiting.cancel()
        await client.fail((await client.submit("x", queue="nobody", run_id="by-hand")).id, "no")
        await client.retry("by-hand")
        await client.submit("x", run_id=waiting.id, queue="nobody", on_conflict="restart")
        await until(lambda: len(told) >= 5)
        viewer = Client(user("viewer"), settings=settings)
        assert {run.id for run in await asyncio.to_thread(viewer.list)} >= {run.id for run in runs}
        assert viewer.status(held.id).state == "cancelled"
        assert {info.queue for info in viewer.queues()} >= {"default", "nobody"}
        assert viewer.workers() == []  # this one has no RQ side
        assert viewer.history(runs[0].id)["run"]["id"] == runs[0].id
        assert len(viewer.hooks(runs[1].id)) == 2
        with pytest.raises(RedisRefused, match="run the 'evalsha' command"):
            viewer.cancel(waiting.id)
        viewer.close()
        await client.cancel("by-hand")
        await client.cancel(waiting.id)
    denied = {entry["object"] for entry in real.acl_log() if entry["username"] != "viewer2"}
    assert denied <= {"client|setinfo"}, denied


@pytest.mark.parametrize("role", [WORKER, CLIENT], ids=lambda role: role.name)
def test_one_right_less_is_named_whichever_it_is(user, keys, role):
    """[B24] But for those that asking takes, which the server names itself."""
    # asking takes one right more where the server does not have the script yet
    everything = SyncConnection.to(Address.parse(user(role.name)))
    assert carry_out(everything, missing_rights(role, keys)) == []
    everything.close()
    for right in set(role.rules(keys)) - {"+evalsha", "+ping"}:
        connection = SyncConnection.to(Address.parse(user(role.name, without=[right])))
        assert carry_out(connection, missing_rights(role, keys)) == [right]
        connection.close()


@pytest.mark.parametrize(
    "right", ["&stepflow:*", "&rq:pubsub:*", "~rq:*", "+publish", "+zadd", "+evalsha", "+info"]
)
def test_a_worker_whose_user_lacks_one_right_is_refused_at_its_start_by_name(
    user, server, keys, right
):
    """[B24] Also the channels, which Redis 7 gives to no new user."""
    with pytest.raises(RedisRefused) as refused:
        check_redis(Address.parse(user("worker", without=[right])), keys)
    assert right.lstrip("+").partition("|")[0] in str(refused.value)


def test_a_worker_with_its_rights_is_not_refused(user, keys):
    """[B24] Negative control."""
    check_redis(Address.parse(user("worker")), keys)


@pytest.mark.parametrize("right", ["+hset", "+evalsha", "~rq:*", "~stepflow:*"])
def test_a_client_whose_user_lacks_a_right_is_told_which(user, settings, right):
    """[B24]"""
    url = user("client", without=[right])
    with Client(url, settings=settings) as client, pytest.raises(RedisRefused) as refused:
        client.submit("x")
    assert right.lstrip("+") in str(refused.value)
    assert isinstance(refused.value, RightsMissing) is (right != "+evalsha")


@pytest.mark.crash
@pytest.mark.parametrize(
    "without", [["&stepflow:*"], ["+publish"], ["&stepflow:*", "+publish", "+subscribe"]]
)
async def test_without_the_right_to_channels_a_client_cancels_and_waits_all_the_same(
    user, settings, working, real, keys, app, without
):
    """[B24] What a message would have said is found by looking."""
    async with (
        working(serving(app.url, settings)),
        AsyncClient(user("client", without=without), settings=settings) as client,
    ):
        held = await client.submit("x", "hold")
        await until(lambda: real.hget(keys.run(held.id), "state") == b"running")
        assert await held.cancel("enough") is True
        assert (await held.wait(60)).reason == "enough"
        pending = await client.submit("x", queue="nobody")
        assert await pending.cancel() is True
        with Client(user("client", without=without), settings=settings) as blocking:
            assert await asyncio.to_thread(blocking.result, blocking.submit("x", 3).id, 10) == 3


def test_a_server_that_cannot_say_refuses_nobody(fake, keys):
    """
    [B24] Before Redis 7 nobody can ask for another command's rights; there every user may use all
    channels.
    """
    assert carry_out(SyncConnection(fake, "fake"), missing_rights(WORKER, keys)) == []
