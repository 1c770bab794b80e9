"""Limits that change while runs wait, by a client and by the command line."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from click.testing import CliRunner

from stepflow import InvalidOption, Limit, Stepflow, Succeed
from stepflow.cli.main import cli
from stepflow.core.limits.simulate import simulate
from stepflow.errors import LimitNotFound
from tests.support import until


@pytest.fixture
def gated(app: Stepflow) -> Any:
    """Runs that go on until they are let go; `app.began` counts those that have begun."""
    app.began, app.gate = [], asyncio.Event()  # type: ignore[attr-defined]

    @app.runner("pay", limits=[Limit("stripe", key="header.tenant", concurrency=1)])
    async def pay(step: Any) -> Any:
        app.began.append(step.run_id)  # type: ignore[attr-defined]
        await app.gate.wait()  # type: ignore[attr-defined]
        return Succeed()

    return app


def stepflow(url: str, *words: str) -> Any:
    return CliRunner().invoke(cli, [*words, "--redis-url", url])


async def test_an_operator_raises_a_limit_and_those_in_line_begin(gated, working, aclient):
    """[L16] At once, for one key; it outlives a deploy, and is shown beside what the code says."""
    async with working(gated):
        for number in range(4):
            await gated.async_client.submit("pay", run_id=f"a{number}", headers={"tenant": "a"})
            await gated.async_client.submit("pay", run_id=f"b{number}", headers={"tenant": "b"})
        await until(lambda: len(gated.began) == 2)
        seen = await aclient.limits.set("stripe[a]", concurrency=3, by="ann")
        await until(lambda: len(gated.began) == 4)
        assert (seen.concurrency, seen.declared, seen.keys_set) == (3, "concurrency 1", ["a"])
        async with working(gated):  # a deploy: the code says what it says again
            seen = await aclient.limits.get("stripe[a]")
            assert (seen.concurrency, seen.slots, seen.waiting) == (3, 3, 1)
            assert seen.next == ["a3"]
            assert [each.run_id for each in seen.holders] == ["a0", "a1", "a2"]
        assert await aclient.limits.unset("stripe[a]")
        assert not await aclient.limits.unset("stripe[a]")
        [both] = await aclient.limits.list()
        assert (both.slots, both.waiting, both.keys) == (4, 4, ["a", "b"])
        gated.gate.set()
        await until(lambda: len(gated.began) == 8)


async def test_a_limit_is_looked_at_and_set_by_the_command_line(gated, working, url):
    """[L16]"""
    async with working(gated):
        for number in range(3):
            await gated.async_client.submit("pay", run_id=f"r{number}")
        await until(lambda: len(gated.began) == 1)

        async def said(*words: str) -> Any:
            return await asyncio.to_thread(stepflow, url, "limits", *words)

        listed = (await said("list")).stdout.splitlines()
        assert listed[0].split() == ["LIMIT", "CONCURRENCY", "RATE", "AT", "WORK", "WAITING", "SET"]
        await until(lambda: json.loads(gated_list(url))[0]["waiting"] == 2)
        shown = await said("show", "stripe[]")
        assert "at work      1\nwaiting      2\nnext         r1, r2" in shown.stdout
        assert "r0 has a slot for" in shown.stdout
        done = await said("set", "stripe", "--concurrency", "2", "--rate", "100/s", "--burst", "5")
        assert done.exit_code == 0, done.stderr
        assert "rate         100/s, burst 5" in done.stdout
        assert "in code: concurrency 1" in done.stdout
        await until(lambda: len(gated.began) == 2)
        wrong = await said("set", "stripe", "--rate", "quick")
        assert (wrong.exit_code, "write it like '100/min'" in wrong.stderr) == (2, True)
        for verb in ("show", "unset", "reset", "forget"):
            unknown = await said(verb, "nope")
            assert (unknown.exit_code, unknown.stdout) == (5, "")
            assert "there is no limit 'nope': no worker has declared it" in unknown.stderr
        assert (await said("unset", "stripe")).stdout == "limit stripe says what the code says\n"
        assert (await said("reset", "stripe")).exit_code == 0
        gated.gate.set()
        await until(lambda: len(gated.began) == 3)


def gated_list(url: str) -> str:
    return stepflow(url, "limits", "list", "--json").stdout


def test_none_takes_a_bound_of_the_code_away(client, store_limit):
    """[L16]"""
    seen = client.limits.set("stripe", concurrency="none")
    assert (seen.concurrency, seen.rate) == (None, "2/s")
    with pytest.raises(InvalidOption, match="nothing is set of limit 'stripe'"):
        client.limits.set("stripe")
    with pytest.raises(InvalidOption, match="concurrency of limit 'stripe' is -1"):
        client.limits.set("stripe", concurrency=-1)
    assert client.limits.forget("stripe")
    assert not client.limits.forget("stripe")
    for verb in (client.limits.get, client.limits.unset, client.limits.reset):
        for limit in ("stripe", "stripe[acme]"):
            with pytest.raises(LimitNotFound, match="there is no limit 'stripe'"):
                verb(limit)


@pytest.fixture
def store_limit(real, keys):
    real.hset(keys.limits, "stripe", "10|0.5|1|claim||")


def test_what_is_known_and_was_not_set_is_no_mistake(client, store_limit):
    """[L16]"""
    for limit in ("stripe", "stripe[acme]"):
        assert client.limits.unset(limit) is False
        assert client.limits.reset(limit) == 0


def test_a_reset_forgets_what_has_begun(store):
    """[L16]"""
    from stepflow.engine.limits.verbs import reset_limit

    store.declare(interval=100.0)
    for name in "abc":
        store.submit(name, "stripe")
    assert store.claimed() == ["a"]
    assert store.plan(reset_limit("stripe", None, store.env)) == 1
    assert store.claimed() == ["b"]


def test_the_simulation_says_what_the_scripts_do(real_store):
    """[L3] Runs that come by chance begin when it says."""
    rng = random.Random(3)
    limit = Limit("stripe", concurrency=2, rate="5/s", burst=3)
    arrivals = sorted(round(rng.uniform(0, 4), 2) for _ in range(30))
    real_store.declare(concurrency=2, interval=0.2, burst=3)
    start, began, ends, coming = real_store.now, [], {}, list(enumerate(arrivals))
    while len(began) < len(arrivals):
        now = real_store.now - start
        while coming and coming[0][1] <= now + 1e-9:
            real_store.submit(f"r{coming.pop(0)[0]:02}", "stripe")
        for run_id in [run_id for run_id, at in ends.items() if at <= now + 1e-9]:
            del ends[run_id]
            real_store.end(run_id)
        real_store.due()
        for run_id in real_store.claimed():
            began.append(now)
            ends[run_id] = now + 0.3
        real_store.clock.advance(0.01)
    for run_id in ends:
        real_store.end(run_id)
    expected = [each.began for each in simulate(limit, arrivals, 0.3)]
    assert began == pytest.approx(expected, abs=0.05)


def test_the_command_line_simulates(url):
    """[L3]"""
    said = stepflow(url, "limits", "simulate", "--concurrency", "2", "--runs", "4", "--takes", "1")
    assert [line.split() for line in said.stdout.splitlines()[1:]] == [
        ["0", "0.000", "0.000", "0.000"],
        ["1", "0.000", "0.000", "0.000"],
        ["2", "0.000", "1.000", "1.000"],
        ["3", "0.000", "1.000", "1.000"],
    ]


def test_the_command_line_says_for_which_key_a_limit_counts_a_run(url, real, keys):
    """[L1]"""
    said = stepflow(url, "submit", "pay", "--id", "a", "--limit", "stripe=acme", "--limit", "db=")
    assert said.exit_code == 0, said.stderr
    assert real.hget(keys.run("a"), "limits") == b"stripe|acme|1\ndb||1"
    stepflow(url, "cancel", "a")


async def test_a_fork_a_group_and_a_started_run_have_the_limits_of_their_runner(app, real, keys):
    """[L1] However a run is begun."""
    from stepflow import RunSpec

    app.register("pay", lambda step: Succeed(), limits=[Limit("stripe", concurrency=1)])
    client = app.async_client
    await client.signal("started", "go", start=RunSpec("pay"))
    await client.groups.submit("g", {"one": RunSpec("pay")})
    found = [
        real.hget(key, "limits")
        for key in real.scan_iter("stepflow:run:*")
        if real.type(key) == b"hash" and real.hget(key, "runner") == b"pay"
    ]
    assert found
    assert set(found) == {b"stripe||1"}
    for run in (await client.list()).runs:
        await client.cancel(run.id)
