"""Being told of a run's end: functions of the app, webhooks of the app and of the run."""

import asyncio
import threading

import pytest

from stepflow import Cancel, Fail, PermanentError, RetryPolicy, Stepflow, Succeed, Webhook
from stepflow.errors import HookNotFound
from tests.hooks.receiver import Receiver, reply
from tests.support import dump, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def at_once(tries, spread, after_s):
    """A schedule of three tries without waits worth the name."""
    return 0.001 if tries < 3 else None


@pytest.fixture
def ends(app):
    """A runner that ends as its payload says."""

    @app.runner("ends", retry=RetryPolicy(max_attempts=1))
    async def ends(step):
        match step.payload:
            case "succeed":
                return Succeed({"n": 1})
            case "fail":
                return Fail("out of stock")
            case "cancel":
                return Cancel("not needed")
        raise PermanentError("boom")


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("how", ["succeed", "fail", "cancel", "raise"])
async def test_a_function_hook_hears_of_every_end_with_all_there_is_to_know(
    app, aclient, working, ends, how, is_async
):
    """[C29] [C30]"""
    seen = []

    async def note_async(outcome):
        seen.append(outcome)

    def note(outcome):
        seen.append(outcome)

    app.on_terminal(note_async if is_async else note)
    async with working(app):
        run = await aclient.submit("ends", how, run_id="r", headers={"t": "1"})
        status = await run.wait(60)
        await until(lambda: seen)
    [outcome] = seen
    wanted = {"succeed": "succeeded", "fail": "failed", "cancel": "cancelled", "raise": "failed"}[
        how
    ]
    assert (outcome.run_id, outcome.runner, outcome.status, outcome.headers) == (
        "r",
        "ends",
        wanted,
        {"t": "1"},
    )
    assert (outcome.final_step, outcome.attempts, outcome.generation, outcome.end) == (0, 1, 0, 1)
    assert outcome.result == ({"n": 1} if how == "succeed" else None)
    assert (outcome.error and outcome.error.message) == {
        "fail": "out of stock",
        "raise": "boom",
    }.get(how)
    assert outcome.reason == status.reason
    assert (outcome.created_at, outcome.started_at, outcome.ended_at) == (
        status.created_at,
        status.started_at,
        status.ended_at,
    )


async def test_attempts_and_final_step_are_those_of_the_end(app, aclient, working):
    """[C30]"""
    from stepflow import Continue

    seen = []

    @app.runner("tries", retry=RetryPolicy(max_attempts=3, initial=0.001))
    async def tries(step):
        if step.number == 1:
            raise ValueError
        return Continue()

    @app.on_terminal
    def note(outcome):
        seen.append((outcome.final_step, outcome.attempts))

    async with working(app):
        await (await aclient.submit("tries")).wait(60)
        await until(lambda: seen)
    assert seen == [(1, 3)]


async def test_a_run_without_hooks_writes_no_hook_job(app, aclient, working, ends, real):
    """[C32]"""
    async with working(app):
        await (await aclient.submit("ends", "succeed")).wait(60)
    assert not [key for key in dump(real) if b"hook" in key and key != b"stepflow:app_hooks"]
    assert b"rq:queue:stepflow.hooks" not in real.smembers("rq:queues")


async def test_a_webhook_of_the_run_is_delivered_signed(app, aclient, working, ends):
    """[C31]"""
    async with Receiver() as receiver, working(app):
        run = await aclient.submit(
            "ends", "succeed", run_id="w", webhooks=[Webhook(receiver.url, SECRET)]
        )
        [got] = await receiver.arrived(1)
        await until(lambda: _hook_in(aclient, run.id, "delivered"))
    body = got.verified(SECRET)
    assert (got.method, body["type"], body["data"]["run_id"]) == ("POST", "run.succeeded", "w")
    assert got.headers["webhook-id"] == "w-0-1-0"


async def test_a_secret_that_the_workers_environment_holds_is_nowhere_in_redis(
    app, aclient, working, ends, real, monkeypatch, caplog
):
    """
    [B28] Redis knows the names of the variables; a try before they are set names them and is made
    again.
    """
    async with Receiver() as receiver, working(app, next_wait=lambda tries, spread, after_s: 0.01):
        hook = Webhook(
            receiver.url, secret_env="MINE", headers_env={"authorization": "MY_WEBHOOK_TOKEN"}
        )
        run = await aclient.submit("ends", "succeed", webhooks=[hook])
        await until(lambda: "environment variable MINE" in caplog.text)
        monkeypatch.setenv("MINE", SECRET)
        monkeypatch.setenv("MY_WEBHOOK_TOKEN", "tok-123")
        [got] = await receiver.arrived(1)
        await until(lambda: _hook_in(aclient, run.id, "delivered"))
    got.verified(SECRET)
    assert got.headers["authorization"] == "tok-123"
    assert SECRET not in repr(dump(real))
    assert "tok-123" not in repr(dump(real))


async def test_what_is_given_in_clear_is_said_once(client, aclient, caplog, monkeypatch):
    """[B28] By either client, whatever of it: the secret, a header, the query of the URL."""
    monkeypatch.setattr("stepflow.client.base._SAID_IN_CLEAR", threading.Event())
    await aclient.submit("x", webhooks=[Webhook("http://127.0.0.1:9/a", secret_env="MINE")])
    assert "in clear" not in caplog.text
    await aclient.submit("x", webhooks=[Webhook("http://127.0.0.1:9/a?key=tok-123", SECRET)])
    client.submit("x", webhooks=[Webhook("http://127.0.0.1:9/b", SECRET)])
    said = [record.getMessage() for record in caplog.records if "in clear" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith(
        "the secret and the query of its URL of Webhook('http://127.0.0.1:9/a?key=***'"
    )
    assert "tok-123" not in caplog.text


async def _hook_in(aclient, run_id, state):
    hooks = await aclient.hooks(run_id)
    return hooks and all(hook.state == state for hook in hooks) and hooks


async def test_a_webhook_of_the_app_is_called_for_every_run(url, settings, aclient, working):
    """[C31]"""
    async with Receiver() as receiver:
        app = Stepflow(url, settings=settings, webhooks={"ops": Webhook(receiver.url)})

        @app.runner("x")
        async def x(step):
            return Succeed()

        async with working(app):
            for _ in range(2):
                await aclient.submit("x")
            await receiver.arrived(2)


async def test_a_webhook_hears_only_of_the_ends_it_asked_for(app, aclient, working, ends):
    """[C31]"""
    async with Receiver() as receiver, working(app):
        hook = Webhook(receiver.url, events=("failed",))
        happy = await aclient.submit("ends", "succeed", webhooks=[hook])
        await happy.wait(60)
        await (await aclient.submit("ends", "fail", run_id="sad", webhooks=[hook])).wait(60)
        [got] = await receiver.arrived(1)
    assert b'"sad"' in got.body
    assert await aclient.hooks(happy.id) == []


async def test_a_delivery_is_tried_again_with_the_same_id_until_it_is_taken(
    app, aclient, working, ends
):
    """[C29] [C31]"""
    async with (
        Receiver(reply(503), reply(500), reply(204)) as receiver,
        working(app, next_wait=at_once),
    ):
        run = await aclient.submit("ends", "succeed", webhooks=[Webhook(receiver.url, SECRET)])
        got = await receiver.arrived(3)
        [hook] = await until(lambda: _hook_in(aclient, run.id, "delivered"))
    assert len({one.headers["webhook-id"] for one in got}) == 1
    assert hook.tries == 3


async def test_after_its_last_try_a_delivery_is_dead_and_listed_and_can_be_sent_again(
    app, aclient, working, ends
):
    """[C29]"""
    async with (
        Receiver(reply(500), reply(500), reply(500), reply(200)) as receiver,
        working(app, next_wait=at_once),
    ):
        run = await aclient.submit("ends", "succeed", webhooks=[Webhook(receiver.url)])
        [hook] = await until(lambda: _hook_in(aclient, run.id, "dead"))
        assert [dead.id for dead in await aclient.hooks()] == [hook.id]
        assert (hook.tries, "500" in hook.problem) == (3, True)
        await aclient.redeliver(hook.id)
        [hook] = await until(lambda: _hook_in(aclient, run.id, "delivered"))
        assert len(receiver.got) == 4
    assert hook.tries == 1
    assert await aclient.hooks() == []


async def test_the_waits_between_tries_stand_in_redis(app, aclient, working, ends, real, keys):
    """[C29] A retry outlives its worker."""
    async with Receiver(reply(503)) as receiver, working(app):
        run = await aclient.submit("ends", "succeed", webhooks=[Webhook(receiver.url)])
        [hook] = await until(lambda: _due(aclient, run.id))
    assert real.zscore(keys.due, f"hook:{hook.id}") == pytest.approx(hook.due_at.timestamp())
    assert 4 <= hook.due_at.timestamp() - real.time()[0] <= 7


async def _due(aclient, run_id):
    return [hook for hook in await aclient.hooks(run_id) if hook.due_at]


async def test_a_refused_delivery_is_dead_at_once(app, aclient, working, ends):
    """[C31] 410 and other 4xx."""
    async with Receiver(reply(410)) as receiver, working(app):
        run = await aclient.submit("ends", "succeed", webhooks=[Webhook(receiver.url)])
        [hook] = await until(lambda: _hook_in(aclient, run.id, "dead"))
    assert hook.tries == 1


async def test_redeliver_of_what_is_unknown_says_so(aclient):
    """[C29]"""
    with pytest.raises(HookNotFound, match="there is no hook delivery 'nothing'"):
        await aclient.redeliver("nothing")


async def test_a_delivered_hook_can_be_sent_again(app, aclient, working, ends):
    """[C29]"""
    async with Receiver() as receiver, working(app):
        run = await aclient.submit("ends", "succeed", webhooks=[Webhook(receiver.url)])
        [hook] = await until(lambda: _hook_in(aclient, run.id, "delivered"))
        await aclient.redeliver(hook.id)
        await receiver.arrived(2)
        await until(lambda: _hook_in(aclient, run.id, "delivered"))


@pytest.mark.parametrize("error", [ValueError, SystemExit, asyncio.CancelledError])
async def test_a_function_hook_that_raises_is_called_again(app, aclient, working, ends, error):
    """[C29]"""
    calls = []

    @app.on_terminal
    async def note(outcome):
        calls.append(outcome)
        if len(calls) < 3:
            raise error("not now")

    async with working(app, next_wait=at_once):
        run = await aclient.submit("ends", "succeed")
        [hook] = await until(lambda: _hook_in(aclient, run.id, "delivered"))
    assert (len(calls), hook.tries) == (3, 3)
    assert calls[0] == calls[2]


async def test_two_hooks_are_told_apart(app, aclient, working, ends):
    """[C29] One that fails does not repeat the other."""
    calls = []

    @app.on_terminal
    def good(outcome):
        calls.append("good")

    @app.on_terminal
    def bad(outcome):
        calls.append("bad")
        raise ValueError

    async with working(app, next_wait=at_once):
        run = await aclient.submit("ends", "succeed")
        await until(lambda: calls.count("bad") == 3)
        await until(lambda: _settled(aclient, run.id))
    assert calls.count("good") == 1
    assert sorted(hook.state for hook in await aclient.hooks(run.id)) == ["dead", "delivered"]


async def _settled(aclient, run_id):
    hooks = await aclient.hooks(run_id)
    return hooks and all(hook.state != "pending" for hook in hooks)


async def test_two_hooks_of_one_name_are_refused(app):
    """[C29] Was: the second took the place of the first, silently."""
    from stepflow.errors import InvalidName

    def make():
        def note(outcome):
            pass

        return note

    app.on_terminal(make())
    with pytest.raises(InvalidName, match="is already registered; rename one"):
        app.on_terminal(make())


async def test_a_hook_waits_for_a_worker_of_its_app(app, aclient, working, url, settings, ends):
    """
    [C29] [C24] A run ended from outside, and a worker of another app alone: the hook is not lost
    and not theirs.
    """
    seen = []

    @app.on_terminal
    def note(outcome):
        seen.append(outcome.status)

    other = Stepflow(url, settings=settings)

    @other.runner("else")
    async def run_else(step):
        return Succeed()

    async with working(app):
        pass  # it told which hooks the app has
    run = await aclient.submit("ends", "succeed", delay=100)
    await run.cancel()
    async with working(other):
        await (await aclient.submit("else")).wait(60)
    assert seen == []
    async with working(app):
        await until(lambda: seen)
    assert seen == ["cancelled"]


async def test_a_hook_whose_worker_died_is_delivered_by_another(
    app, aclient, working, ends, ghost, keys, link_to_real
):
    """[C29] At least once."""
    from stepflow.store.claims import claim_steps, source_of
    from stepflow.store.hooks import ANYONE

    async with Receiver() as receiver:
        run = await aclient.submit("ends", "succeed", webhooks=[Webhook(receiver.url)])
        await run.cancel()
        source = source_of(keys, keys.hook_queue, keys.wake(keys.hook_queue))
        call = claim_steps(
            keys, [source], given="", stem="ghost.", number=0, lease_s=1000.0, limit=1,
            live_workers=1, worker="ghost", now=0.0, runners=[ANYONE],
        )  # fmt: skip
        assert len(link_to_real.call(call).taken) == 1
        ghost.die()
        async with working(app):
            await receiver.arrived(1)
            await until(lambda: _hook_in(aclient, run.id, "delivered"))


async def test_a_private_target_is_refused_unless_a_setting_opens_it(url, aclient, working):
    """[C31]"""
    app = Stepflow(url)

    @app.runner("x")
    async def x(step):
        return Succeed()

    async with Receiver() as receiver, working(app):
        run = await aclient.submit("x", webhooks=[Webhook(receiver.url)])
        [hook] = await until(lambda: _hook_in(aclient, run.id, "dead"))
        assert receiver.connections == 0
    assert "refused" in hook.problem


async def test_secrets_are_in_no_log_line_and_no_repr(app, aclient, working, ends, caplog):
    """[C40]"""
    caplog.set_level("DEBUG")
    async with Receiver(reply(500)) as receiver, working(app, next_wait=at_once):
        run = await aclient.submit(
            "ends",
            "succeed",
            webhooks=[Webhook(receiver.url, SECRET, headers={"authorization": "tok-123"})],
        )
        hooks = await until(lambda: _hook_in(aclient, run.id, "dead"))
    for shown in (caplog.text, repr(hooks), repr(await run.status())):
        assert SECRET not in shown
        assert SECRET.removeprefix("whsec_") not in shown
        assert "tok-123" not in shown


async def test_a_failed_run_is_retried_with_fresh_attempts_and_its_hooks_fire_again(
    app, aclient, working
):
    """[C21] [C29] [C8]"""
    from stepflow import Continue

    broken, seen = [True], []

    @app.runner("chain", retry=RetryPolicy(max_attempts=2, initial=0.001))
    async def chain(step):
        if step.number == 1 and broken:
            raise ValueError
        return Continue("handed on") if step.number == 0 else Succeed([step.attempt, step.payload])

    @app.on_terminal
    def note(outcome):
        seen.append((outcome.status, outcome.end))

    async with working(app):
        run = await aclient.submit("chain", run_id="c")
        assert (await run.wait(60)).state == "failed"
        assert [dead.id for dead in await aclient.list(state="failed")] == ["c"]
        broken.clear()
        await aclient.retry("c")
        assert await run.result(60) == [1, "handed on"]
        await until(lambda: len(seen) == 2)
        hooks = await until(lambda: _hook_in(aclient, run.id, "delivered"))
    assert seen == [("failed", 1), ("succeeded", 2)]
    assert [hook.id for hook in hooks] == ["c-0-1-0", "c-0-2-0"]
    assert (await run.status()).error is None


@pytest.mark.parametrize("how", ["succeed", "cancel"])
async def test_only_a_failed_run_can_be_retried(app, aclient, working, ends, how):
    """[C21]"""
    from stepflow.errors import NotRetryable, RunNotFound

    async with working(app):
        run = await aclient.submit("ends", how)
        await run.wait(60)
    with pytest.raises(NotRetryable):
        await aclient.retry(run.id)
    with pytest.raises(RunNotFound):
        await aclient.retry("nobody")


async def test_a_run_past_its_deadline_is_retried_without_it(app, aclient, working):
    """[C21]"""

    @app.runner("x")
    async def x(step):
        return Succeed("late but done")

    async with working(app, queues=["elsewhere"]):
        run = await aclient.submit("x", timeout=0.01)
        await run.wait(60)
        await aclient.retry(run.id)
    async with working(app):
        assert await run.result(60) == "late but done"
    assert (await run.status()).deadline_at is None


async def test_a_retried_run_keeps_no_time_to_live(app, aclient, working, ends, real, keys):
    """[C37]"""
    async with working(app):
        run = await aclient.submit("ends", "raise")
        await run.wait(60)
    assert real.ttl(keys.run(run.id)) > 0
    await aclient.retry(run.id)
    assert real.ttl(keys.run(run.id)) == real.ttl(keys.run(run.id) + ":data") == -1
    await run.cancel()


async def test_a_dead_hook_is_listed_although_one_before_it_was_delivered_and_has_expired(
    app, aclient, working, ends, real, keys
):
    """
    [C29] Delivered ones are kept a day, dead ones thirty. Was: the listing ended at the first gap.
    """
    async with Receiver() as good, Receiver(reply(410)) as bad, working(app):
        run = await aclient.submit(
            "ends", "succeed", webhooks=[Webhook(good.url), Webhook(bad.url)]
        )
        first, second = await until(lambda: _two_settled(aclient, run.id))
    assert (first.state, second.state) == ("delivered", "dead")
    real.delete(keys.hook(first.id))
    assert [hook.id for hook in await aclient.hooks(run.id)] == [second.id]


async def _two_settled(aclient, run_id):
    hooks = await aclient.hooks(run_id)
    return (
        hooks
        if len(hooks) == 2 and {hook.state for hook in hooks} == {"delivered", "dead"}
        else None
    )
