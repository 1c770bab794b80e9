"""`step.memo.shared`: values that the steps of runners share by a key; and their drop."""

import asyncio
import json
from contextlib import suppress
from datetime import timedelta

import pytest
from click.testing import CliRunner

from stepflow import AsyncClient, Client, InvalidOption, Step, Stepflow, Succeed, current_step
from stepflow.cli.main import cli
from stepflow.testing.errors import HarnessStuck
from tests.support import until


async def test_a_value_is_put_and_read_by_any_run(app, h):
    """[K17] Until it expires."""

    @app.runner("put")
    async def put(step: Step[int]):
        await step.memo.shared("rates", ttl=timedelta(minutes=1)).put({"eur": step.payload})
        return Succeed()

    @app.runner("get")
    def get(step: Step[object]):
        return Succeed(step.memo.shared("rates").get("none"))

    assert await h.result(await h.submit("get")) == "none"
    await h.submit("put", 7)
    await h.submit("put", 8)
    assert await h.result(await h.submit("get")) == {"eur": 8}
    await h.advance(60)
    assert await h.result(await h.submit("get")) == "none"


async def test_of_many_that_ask_at_once_one_computes(app, h):
    """[K17] The steps of the others wait, without a worker and without an attempt."""
    gate, computed = asyncio.get_running_loop().create_future(), []

    async def load(what: str) -> str:
        computed.append(what)
        await gate
        return f"loaded {what}"

    @app.runner("ask")
    async def ask(step: Step[object]):
        found = await step.memo.shared("model").compute(load, "m1")
        return Succeed([found, step.attempt])

    h._patience_s = 0.05
    for number in range(6):
        with suppress(HarnessStuck):
            await h.submit("ask", run_id=f"r{number}")
    states = [app.client.status(f"r{number}").state for number in range(6)]
    assert states == ["running"] + ["scheduled"] * 5
    gate.set_result(None)
    await h.settle()
    for number in range(6):
        assert await h.result(f"r{number}") == ["loaded m1", 1]
    assert computed == ["m1"]


async def test_a_plain_function_computes_as_well(app, h):
    """[K17]"""

    @app.runner("ask")
    def ask(step: Step[int]):
        return Succeed(step.memo.shared("sum").compute(lambda a, b: a + b, 1, step.payload))

    assert await h.result(await h.submit("ask", 2)) == 3
    assert await h.result(await h.submit("ask", 9)) == 3


async def test_what_cannot_be_is_refused_and_a_step_by_hand_has_its_own(app, h):
    """[K17]"""
    step = Step("r", 0, None)
    with pytest.raises(InvalidOption, match="above 0 seconds"):
        step.memo.shared("k", ttl=0)
    with pytest.raises(InvalidOption, match="the key of a shared value"):
        step.memo.shared("")
    value = step.memo.shared("k")
    await value.put(1)
    assert await value.get() == await value.compute(lambda: 2) == 1
    assert await step.memo.shared("other").compute(lambda: 2) == 2

    async def call() -> None:
        current_step().memo.shared("k")

    @app.workflow
    async def flow(ctx) -> None:
        await ctx.step(call)

    assert "by ctx.step(..., cache=)" in (await h.status(await h.submit(flow))).reason


def sharing(app):
    @app.runner("put")
    async def put(step: Step[str]):
        await step.memo.shared(step.payload).put("x" * 100)
        return Succeed()

    async def square(number: int) -> int:
        return number * number

    @app.workflow("flow")
    async def flow(ctx, number: int) -> int:
        return await ctx.step("square", square, number, cache=60)


async def test_values_are_listed_and_dropped(app, h):
    """[K17]"""
    sharing(app)
    shared = h.client.shared
    assert await shared.names() == []
    for key in ("a", "b"):
        await h.submit("put", key, run_id=f"by-{key}")
    await h.submit("flow", 3)
    assert await shared.names() == ["memo", "square"]
    found = {each.key: each for each in await shared.list("memo")}
    assert {each.run_id for each in found.values()} == {"by-a", "by-b"}
    assert found["a"].size > 100
    assert (found["a"].until - found["a"].at) == timedelta(days=1)
    assert await shared.drop("memo", [found["a"].id]) == 1
    assert [each.key for each in await shared.list("memo")] == ["b"]
    assert await shared.drop("square") == 1
    assert await shared.drop("square") == 0
    assert await shared.names() == ["memo"]


async def test_no_more_than_so_many_of_a_name_are_kept(app, h, monkeypatch):
    """[K17] Those that expire first go."""
    monkeypatch.setattr("stepflow.store.shared.values.MOST_VALUES", 3)
    sharing(app)
    for number in range(5):
        await h.submit("put", f"k{number}")
        await h.advance(1)
    assert {each.key for each in await h.client.shared.list("memo")} == {"k2", "k3", "k4"}


async def test_the_command_line_and_both_clients(app, aclient, url, working, real):
    """[K17] On the real server; nothing is left when all is dropped."""
    app = Stepflow(url, settings=aclient.settings)
    sharing(app)
    async with working(app):
        for key in ("a", "b"):
            await aclient.submit("put", key, run_id=key)
            await aclient.wait(key)
        await aclient.submit("flow", 3, run_id="w")
        assert await aclient.result("w") == 9

    def run(*args):
        return CliRunner().invoke(cli, ["--redis-url", url, *args])

    assert run("shared", "list").stdout.split() == ["STEP", "memo", "square"]
    assert len(run("shared", "list", "memo").stdout.splitlines()) == 3
    [one] = json.loads(run("shared", "list", "square", "--json").stdout)
    assert run("shared", "drop", "square", one["id"]).stdout == "1 values of square are dropped\n"
    assert json.loads(run("shared", "drop", "memo", "--json").stdout)["dropped"] == 2
    with Client(url) as client:
        assert (client.shared.names(), client.shared.list("memo")) == ([], [])
        assert client.shared.drop("memo") == 0
    assert await AsyncClient(url).shared.names() == []


async def test_runs_that_share_nothing_touch_no_key_of_it(app, url, aclient, working, real):
    """[K17] All that a worker and a client say to the server."""
    app = Stepflow(url, settings=aclient.settings)

    async def value() -> int:
        return 1

    @app.workflow("w")
    async def workflow(ctx) -> int:
        return await ctx.step(value)

    with real.monitor() as monitor:
        async with working(app):
            await aclient.submit("w", run_id="a")
            await until(lambda: real.hget("stepflow:run:a", "ended"))
        real.set("last", 1)
        said = []
        for command in monitor.listen():
            said.append(command["command"])
            if command["command"] == "SET last 1":
                break
    real.delete("last")
    assert len(said) > 10
    assert [line for line in said if "stepflow:shared" in line] == []
