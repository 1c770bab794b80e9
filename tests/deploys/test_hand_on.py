"""
[U7] Old and new code side by side: a run goes on where its code is, and pauses where nobody has it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import pytest

from stepflow import Context, Step, Stepflow, Succeed, Webhook
from stepflow.engine.env import Env
from stepflow.engine.versions import announce_builds, live_builds
from stepflow.store.connection.sync import carry_out
from tests.support import until


@dataclass
class Small:
    a: int


@dataclass
class Large:
    a: int
    b: int


@pytest.fixture
def deploy(url, settings):
    """
    Make an app of one deploy: workflow "order" does *steps*, with a wait for "go" before the last.

    Its input is a *kind*, if any.
    """
    apps = []

    def make(*steps, kind=None, **options):
        app = Stepflow(url, settings=settings, **options)

        async def order(ctx: Context, given=None) -> str:
            for name in steps[:-1]:
                await ctx.step(name, str, name)
            await ctx.wait_for_signal("go")
            await ctx.step(steps[-1], str, steps[-1])
            return " ".join(steps)

        if kind is not None:
            order.__annotations__["given"] = kind
        app.workflow("order")(order)
        apps.append(app)
        return app

    yield make
    for app in apps:
        if app._client is not None:
            app._client.close()


@pytest.fixture
def env(keys, settings):
    return Env(keys, settings)


@pytest.fixture
def other_build(link_to_real, env):
    """Announce a worker of other code, which claims nothing; call it again to have it leave."""
    link_to_real.call(_time(env))

    def announce(key="order", build="another", queue="default", *, name="ghost"):
        carry_out(link_to_real, announce_builds(name, queue, {key: build}, env))

    yield announce
    link_to_real.redis.delete(env.keys.builds) if hasattr(link_to_real, "redis") else None


def _time(env):
    from stepflow.store.query import server_time

    return server_time()


async def in_state(aclient, run_id, state):
    status = await aclient.status(run_id)
    return status if status.state == state else None


async def begun(app, working, aclient, count=1, payload=None):
    """Begin runs on the code of *app*, which then stand at their wait."""
    async with working(app):
        runs = [await aclient.submit("order", payload) for _ in range(count)]
        for run in runs:
            await until(lambda run=run: in_state(aclient, run.id, "waiting"))
    return [run.id for run in runs]


async def test_runs_of_old_and_new_code_go_on_while_both_are_live(deploy, working, aclient):
    """A worker that a run does not fit hands it on, however often it comes to it."""
    old, new = deploy("a", "b"), deploy("c", "b")
    of_old = await begun(old, working, aclient, 10)
    of_new = await begun(new, working, aclient, 10)
    async with working(old), working(new):
        for run_id in of_old + of_new:
            await aclient.signal(run_id, "go")
        for run_id, result in [(each, "a b") for each in of_old] + [
            (each, "c b") for each in of_new
        ]:
            assert await aclient.result(run_id, 60) == result
            assert (await aclient.status(run_id)).crashes == 0


async def test_a_run_that_no_live_code_fits_pauses_and_says_so(deploy, working, aclient, caplog):
    """The line has what the journal has, what the code does, the place, the run and the way out."""
    [run_id] = await begun(deploy("a", "b"), working, aclient)
    caplog.set_level(logging.INFO, "stepflow.run")
    async with working(deploy("c", "b")):
        await aclient.signal(run_id, "go")
        status = await until(lambda: in_state(aclient, run_id, "paused"))
    assert status.reason == "code changed: at place 0 remembered value 'a', now step 'c'"
    [line] = [each for each in caplog.records if "is paused" in each.message]
    assert line.levelno == logging.WARNING
    assert f"run={run_id} of runner 'order' is paused" in line.message
    assert status.reason in line.message
    assert f"`stepflow resume {run_id}`" in line.message
    assert ">    0  value   a  (place 0)" in line.message


async def test_a_paused_run_is_told_of_to_the_hooks_that_ask_for_it(deploy, working, aclient):
    """Functions and webhooks, each once, also for a second pause; those of ends are not told."""
    [run_id] = await begun(deploy("a", "b"), working, aclient)
    told, sent = [], []
    new = deploy("c", "b", webhooks={
        "wants": Webhook("http://127.0.0.1:1/wants", events=["paused"]),
        "ends": Webhook("http://127.0.0.1:1/ends"),
    })  # fmt: skip

    @new.on_paused
    def paused(outcome):
        told.append(("paused", outcome.run_id, outcome.status, outcome.reason))

    @new.on_terminal
    def ended(outcome):
        told.append(("ended", outcome.run_id))

    async with working(new) as worker:
        deliver = worker.parts.notifier._deliver

        async def record(webhook, hook_id, outcome):
            sent.append((webhook.url, hook_id, outcome.status))
            return await deliver(
                Webhook("http://127.0.0.1:1/", events=["failed"]), hook_id, outcome
            )

        worker.parts.notifier._deliver = record
        await aclient.signal(run_id, "go")
        await until(lambda: len(told) == 1 and len(sent) == 1)
        await until(lambda: in_state(aclient, run_id, "paused"))
        await aclient.resume(run_id)
        await until(lambda: len(told) == 2 and len(sent) == 2)
        await aclient.fail(run_id, "enough")
        await until(lambda: len(told) == 3)
    reason = "code changed: at place 0 remembered value 'a', now step 'c'"
    assert told == [("paused", run_id, "paused", reason)] * 2 + [("ended", run_id)]
    assert {(url, status) for url, _, status in sent[:2]} == {
        ("http://127.0.0.1:1/wants", "paused")
    }
    assert len({hook_id for _, hook_id, _ in sent}) == len(sent)


async def test_status_says_whose_code_was_tried_and_the_run_pauses_once_the_others_are_gone(
    deploy, working, aclient, other_build, link_to_real, env
):
    [run_id] = await begun(deploy("a", "b"), working, aclient)
    other_build()
    async with working(deploy("c", "b")) as worker:
        await aclient.signal(run_id, "go")

        async def waits():
            status = await aclient.status(run_id)
            return status if "whose code fits" in (status.waits_for or "") else None

        status = await until(waits)
        name = worker.worker_state.name
        assert status.waits_for == f"a worker whose code fits: tried by {name}"
        assert status.reason == "code changed: at place 0 remembered value 'a', now step 'c'"
        assert (status.attempt, status.crashes) == (1, 0)
        other_build(build=worker.worker_state.builds["order"])
        status = await until(lambda: in_state(aclient, run_id, "paused"))
    assert status.waits_for == "somebody to resume it"
    link_to_real.call(_forget(env))


def _forget(env):
    from stepflow.store.query import forget_builds

    return forget_builds(env.keys, ["ghost"])


@pytest.mark.parametrize(
    ("key", "queue"), [("order@2", "default"), ("order", "other"), ("another", "default")]
)
async def test_workers_of_another_runner_version_or_queue_are_not_waited_for(
    deploy, working, aclient, other_build, link_to_real, env, key, queue
):
    [run_id] = await begun(deploy("a", "b"), working, aclient)
    other_build(key=key, queue=queue)
    async with working(deploy("c", "b")):
        await aclient.signal(run_id, "go")
        await until(lambda: in_state(aclient, run_id, "paused"))
    link_to_real.call(_forget(env))


async def test_a_resumed_run_is_tried_by_all_again(deploy, working, aclient):
    old, new = deploy("a", "b"), deploy("c", "b")
    [run_id] = await begun(old, working, aclient)
    async with working(new):
        await aclient.signal(run_id, "go")
        await until(lambda: in_state(aclient, run_id, "paused"))
        async with working(old):
            await aclient.resume(run_id)
            assert await aclient.result(run_id, 60) == "a b"


@pytest.mark.parametrize("has_begun", [False, True])
async def test_an_input_that_one_type_cannot_read_is_read_by_the_other(
    deploy, working, aclient, has_begun
):
    old, new = deploy("a", "b", kind=Small), deploy("c", "b", kind=Large)
    payload = {"a": 1}
    if has_begun:
        [run_id] = await begun(old, working, aclient, payload=payload)
        await aclient.signal(run_id, "go")
        async with working(new):
            status = await until(lambda: in_state(aclient, run_id, "paused"))
            assert status.reason.startswith("code changed: the payload does not")
            async with working(old):
                await aclient.resume(run_id)
                assert await aclient.result(run_id, 60) == "a b"
        return
    async with working(new):
        async with working(old):
            runs = [await aclient.submit("order", payload) for _ in range(10)]
            for run in runs:
                await aclient.signal(run.id, "go")
            for run in runs:
                assert await run.result(60) == "a b"
        late = await aclient.submit("order", payload)
        status = await until(lambda: in_state(aclient, late.id, "failed"))
        assert status.error.type == "PayloadMismatch"


async def test_a_job_whose_arguments_changed_is_done_by_the_code_that_knows_them(
    url, settings, working, aclient
):
    old, new = Stepflow(url, settings=settings), Stepflow(url, settings=settings)

    @old.job(name="add")
    def add(a: int) -> int:
        return a

    @new.job(name="add")
    def add_more(a: int, b: int) -> int:
        return a + b

    async with working(old), working(new):
        small = [await aclient.submit("add", {"a": 1}) for _ in range(5)]
        large = [await aclient.submit("add", {"a": 1, "b": 2}) for _ in range(5)]
        assert [await run.result(60) for run in small + large] == [1] * 5 + [3] * 5


async def test_a_runner_whose_payload_changed_is_run_by_the_code_that_reads_it(
    url, settings, working, aclient
):
    old, new = Stepflow(url, settings=settings), Stepflow(url, settings=settings)

    @old.runner("r")
    async def small(step: Step[Small]):
        return Succeed(step.payload.a)

    @new.runner("r")
    async def large(step: Step[Large]):
        return Succeed(step.payload.b)

    async with working(old), working(new):
        runs = [await aclient.submit("r", {"a": 1}) for _ in range(8)]
        assert [await run.result(60) for run in runs] == [1] * 8


async def test_a_value_that_a_changed_type_cannot_read_pauses_the_run_instead_of_failing_it(
    url, settings, working, aclient
):
    """The step's declared type has a new field; what the journal has lacks it."""

    def app_with(kind, make):
        app = Stepflow(url, settings=settings)

        def look(number: int):
            return make(number)

        look.__annotations__["return"] = kind

        @app.workflow("order")
        async def order(ctx: Context) -> int:
            found = await ctx.step("look", look, 1)
            await ctx.wait_for_signal("go")
            return found.a

        return app

    old = app_with(Small, Small)
    new = app_with(Large, lambda number: Large(number, 2))
    [run_id] = await begun(old, working, aclient)
    async with working(new):
        await aclient.signal(run_id, "go")
        status = await until(lambda: in_state(aclient, run_id, "paused"))
        assert "b: " in status.reason
        async with working(old):
            await aclient.resume(run_id)
            assert await aclient.result(run_id, 60) == 1


async def test_builds_are_announced_at_the_start_and_forgotten_at_the_end(
    deploy, working, link_to_real, env
):
    app = deploy("a", "b")
    link_to_real.call(_time(env))
    async with working(app) as worker:
        builds = worker.worker_state.builds
        assert carry_out(link_to_real, live_builds("order", "default", env)) == {builds["order"]}
    assert carry_out(link_to_real, live_builds("order", "default", env)) == set()


async def test_runs_that_fit_leave_nothing_of_this_behind(deploy, working, aclient, real, keys):
    """No field and no key: what is new costs nothing."""
    [run_id] = await begun(deploy("a", "b"), working, aclient)
    assert not real.hexists(f"{keys.run(run_id)}:data", "tried")
    await aclient.fail(run_id)
