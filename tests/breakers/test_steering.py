"""Breakers as operators see and move them: client, command line, what it costs others."""

import json
from datetime import timedelta

import pytest

from stepflow import (
    AsyncClient,
    Breaker,
    BreakerNotFound,
    BreakerState,
    InvalidOption,
    RetryPolicy,
    Step,
    Succeed,
)
from stepflow.cli.main import cli
from tests.breakers.conftest import Service
from tests.breakers.test_steps import charging, fail
from tests.support import loaded, until

ONCE = RetryPolicy(max_attempts=1)


async def test_a_breaker_is_listed_with_all_that_an_operator_asks(app, h, service):
    """[K10]"""
    charge = charging(app, service)
    assert await h.client.breakers.list() == []
    await fail(h, charge, 3)
    for order in range(2):
        await h.submit(charge, order)
    [seen] = await h.client.breakers.list()
    assert seen == await h.client.breakers.get("stripe")
    assert (seen.state, seen.waiting, seen.refused, seen.opened) == (BreakerState.OPEN, 2, 2, 1)
    assert seen.why == "after 3 failures (ConnectionError)"
    assert (seen.until - seen.since).total_seconds() == 30
    assert seen.rule == "3 failures in a row, reset 30 s, 1 at once"
    service.is_down = False
    await h.advance(30)
    seen = await h.client.breakers.get("stripe")
    assert (seen.state, seen.waiting, seen.closed, seen.why) == (BreakerState.CLOSED, 0, 1, "")


async def test_opened_by_hand_it_stays_open_until_it_is_closed(app, h, service):
    """[K10] Also one that no step has asked for yet."""
    service.is_down = False
    await h.client.breakers.open("stripe", note="maintenance", by="ada")
    charge = charging(app, service)
    runs = [await h.submit(charge, order) for order in range(3)]
    await h.advance(timedelta(hours=2))
    assert service.calls == []
    seen = await h.client.breakers.get("stripe")
    assert (seen.state, seen.until, seen.why) == ("open", None, "by ada: maintenance")
    await h.client.breakers.close("stripe")
    await h.settle()
    assert [await h.result(run) for run in runs] == ["ok"] * 3


async def test_opened_for_a_time_it_lets_a_trial_through_after_that(app, h, service):
    """[K10]"""
    service.is_down = False
    await h.client.breakers.open("stripe", 60)
    run = await h.submit(charging(app, service), 1)
    await h.advance(59)
    assert service.calls == []
    await h.advance(1)
    assert await h.result(run) == "ok"


async def test_reset_sets_the_counts_to_nothing(app, h, service):
    """[K10]"""
    charge = charging(app, service)
    await fail(h, charge, 3)
    await h.client.breakers.reset("stripe")
    seen = await h.client.breakers.get("stripe")
    assert (seen.state, seen.refused, seen.opened, seen.failures) == ("closed", 0, 0, 0)


async def test_what_nobody_has_asked_for_is_not_known(app, h):
    """[K10]"""
    for verb in ("get", "close", "reset"):
        with pytest.raises(BreakerNotFound, match="breaker 'stripe' is not known"):
            await getattr(h.client.breakers, verb)("stripe")
    with pytest.raises(InvalidOption, match="cannot name a breaker"):
        await h.client.breakers.open("a b")


async def test_a_step_that_is_cancelled_gives_its_trial_back(app, h):
    """[K8] The next in line gets it, at once."""
    service = Service()
    charge = charging(app, service)
    await fail(h, charge, 3)
    await h.client.breakers.open("stripe", 10)

    @app.runner("hangs")
    async def hangs(step: Step[object]):
        async with Breaker("stripe", failures=3, reset=30):
            await step.cancel.wait()
            step.cancel.raise_if_set()

    held = await h.submit("hangs")
    await h.cancel(held)
    await h.advance(10)
    service.is_down = False
    assert await h.result(await h.submit(charge, 9)) == "ok"


def test_the_command_line_lists_opens_and_closes(cli_run):
    """[K10]"""
    assert cli_run("breakers", "list").exit_code == 0
    opened = cli_run("breakers", "open", "stripe", "--for", "10m", "--note", "maintenance")
    assert opened.stdout.startswith("breaker stripe is open until ")
    [head, row] = cli_run("breakers", "list").stdout.splitlines()
    assert head.split()[:3] == ["BREAKER", "STATE", "WHY"]
    assert row.split()[:3] == ["stripe", "open", "by"]
    assert "maintenance" in cli_run("breakers", "show", "stripe").stdout
    closed = cli_run("breakers", "close", "stripe", "--json")
    assert json.loads(closed.stdout)["state"] == "closed"
    assert cli_run("breakers", "reset", "stripe").stdout == "breaker stripe is closed\n"
    gone = cli_run("breakers", "close", "nobody")
    assert (gone.exit_code, "breaker 'nobody' is not known" in gone.stderr) == (5, True)


@pytest.fixture
def cli_run(url):
    from click.testing import CliRunner

    return lambda *args: CliRunner().invoke(cli, ["--redis-url", url, *args])


async def test_runs_without_a_breaker_touch_no_key_of_one(url, settings, working, real):
    """[K8] All that a worker and a client say to the server, from a worker's start to its end."""
    from stepflow import Client, Stepflow

    app = Stepflow(url, settings=settings)

    async def value() -> int:
        return 1

    @app.workflow("w")
    async def workflow(ctx) -> int:
        await ctx.sleep(0.01)
        return await ctx.step(value)

    @app.runner("r")
    async def runner(step: Step[object]):
        return Succeed()

    with Client(url, settings=settings) as client, real.monitor() as monitor:
        async with working(app):
            client.submit("w")
            client.submit("r", delay=0.01)
            await until(lambda: len(client.list(state="succeeded").runs) == 2)
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            said.append(command["command"])
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    assert len(said) > 10
    assert [line for line in said if "stepflow:breaker" in line] == []


async def test_both_clients_have_the_same_verbs(url, settings):
    """[K10]"""
    async with AsyncClient(url, settings=settings) as client:
        await client.breakers.open("b", 1)
        assert [each.name for each in await client.breakers.list()] == ["b"]
        await client.breakers.close("b")
        await client.breakers.reset("b")
        assert (await client.breakers.get("b")).state == "closed"


def test_nobody_without_breakers_loads_them():
    """[K8]"""
    assert [name for name in loaded() if "breaker" in name] == []
