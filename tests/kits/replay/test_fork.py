"""Forks: a new run that begins with what another one remembers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis

from stepflow import (
    AsyncClient,
    Client,
    Context,
    PermanentError,
    RunConflict,
    RunFailed,
    RunNotFound,
    RunState,
    Stepflow,
)
from stepflow.engine.fork import fork
from stepflow.errors import UnknownStep
from stepflow.settings import Settings
from stepflow.store.connection.sync import SyncConnection
from tests.conftest import Working
from tests.support import dump, until


class Trip:
    """A workflow of three steps and a signal, and what it did."""

    def __init__(self, app: Stepflow) -> None:
        self.done: list[str] = []
        self.broken = False
        app.workflow("trip")(self.trip)

    async def act(self, name: str) -> str:
        self.done.append(name)
        if self.broken and name == "b":
            raise PermanentError("broken")
        return name

    async def trip(self, ctx: Context, n: int) -> list[Any]:
        drawn = f"{ctx.uuid()} {ctx.now()}"
        first = await ctx.step("a", self.act, "a")
        word = await ctx.wait_for_signal("word") if n else None
        second = await ctx.step("b", self.act, "b")
        return [
            drawn,
            first,
            word,
            second,
            await ctx.step("c", self.act, "c", key="last"),
            ctx.headers.get("k"),
        ]


@pytest.fixture
def trip(app: Stepflow) -> Trip:
    return Trip(app)


async def is_waiting(client: AsyncClient, run_id: str) -> bool:
    run = await client.status(run_id)
    return run is not None and run.state is RunState.WAITING


async def test_a_finished_run_is_forked_by_name_place_or_key_and_stays_as_it_is(
    app: Stepflow, aclient: AsyncClient, working: Working, trip: Trip, real: redis.Redis
) -> None:
    """[F5]"""
    async with working(app):
        run = await aclient.submit(
            "trip", 0, run_id="a1", headers={"k": "v"}, queue="default", timeout=60
        )
        result = await run.result(60)
        before = {key: value for key, value in dump(real).items() if b"run:a1" in key}
        for at, again in (("a", "abc"), ("b", "bc"), ("c", "c"), ("2", "bc"), ("last", "c")):
            trip.done.clear()
            forked = await aclient.fork("a1", at)
            assert await forked.result(60) == result, at
            assert trip.done == list(again)
            status = await forked.status()
            assert status is not None
            assert (status.payload, status.headers) == (0, {"k": "v"})
            assert status.deadline_at is not None
            assert status.created_at is not None
            assert (status.deadline_at - status.created_at).total_seconds() == pytest.approx(60)
        assert before == {key: value for key, value in dump(real).items() if b"run:a1" in key}


async def test_a_failed_run_goes_on_in_a_fork_once_the_code_is_mended(
    app: Stepflow, aclient: AsyncClient, working: Working, trip: Trip
) -> None:
    """[F5]"""
    trip.broken = True
    async with working(app):
        run = await aclient.submit("trip", 0, run_id="a1")
        with pytest.raises(RunFailed):
            await run.result(60)
        trip.broken = False
        forked = await aclient.fork("a1", "b", new_id="a2")
        assert (forked.id, forked.created) == ("a2", True)
        assert (await forked.result(60))[1:4] == ["a", None, "b"]
        assert trip.done == ["a", "b", "b", "c"]


async def test_a_live_run_and_a_paused_one_are_forked_and_signals_not_taken_stay(
    app: Stepflow, aclient: AsyncClient, working: Working, trip: Trip, settings: Settings, url: str
) -> None:
    """[F5] The way out of changed code."""
    async with working(app):
        run = await aclient.submit("trip", 1, run_id="a1")
        await until(lambda: is_waiting(aclient, "a1"))
        await aclient.fork("a1", "a", new_id="a2")
        await until(lambda: is_waiting(aclient, "a2"))
        assert trip.done == ["a", "a"]
        await aclient.signal("a2", "word", "two")
    changed = Stepflow(url, settings=settings)

    async def other(ctx: Context, n: int) -> str:
        await ctx.step("new", trip.act, "new")
        return "changed"

    changed.workflow("trip")(other)
    async with working(changed):
        await aclient.signal("a1", "word", "one")
        await until(lambda: is_paused(run))
        forked = await aclient.fork("a1", "a", new_id="a3")
        assert await forked.result(60) == "changed"
        assert await is_paused(run)
        assert await run.cancel()
        await aclient.cancel("a2")


async def is_paused(run: Any) -> bool:
    status = await run.status()
    return status.state is RunState.PAUSED


def remembering(client: Client, real: redis.Redis, *names: str) -> None:
    """Make run a1, which remembers steps of these names at places 0, 1, ..."""
    client.submit("trip", 0, run_id="a1")
    real.rpush(
        "stepflow:run:a1:journal",
        *(f"value|{place}|{name}|1.000000|\x01" for place, name in enumerate(names)),
    )
    real.hset("stepflow:run:a1", "journal", "1")


def test_the_same_fork_again_is_the_same_run_and_another_is_refused(
    client: Client, real: redis.Redis
) -> None:
    """[F5]"""
    remembering(client, real, "a", "b")
    assert client.fork("a1", "b", new_id="a2").created
    before = dump(real)
    assert not client.fork("a1", "b", new_id="a2").created
    assert not client.fork("a1", "1", new_id="a2").created
    client.submit("trip", 0, run_id="plain")
    for at, taken, version in (
        ("a", "a2", None),
        ("b", "a2", 2),
        ("b", "plain", None),
        ("b", "a1", None),
    ):
        with pytest.raises(RunConflict, match="different origin"):
            client.fork("a1", at, new_id=taken, version=version)
    client.cancel("plain")
    assert {key: value for key, value in dump(real).items() if b"run:a" in key} == {
        key: value for key, value in before.items() if b"run:a" in key
    }
    for run_id in ("a1", "a2"):
        client.cancel(run_id)


def test_an_unknown_step_is_told_with_those_there_are(client: Client, real: redis.Redis) -> None:
    remembering(client, real, "a", "b", "a")
    with pytest.raises(UnknownStep, match=r"'a1' remembers no step 'x'; it remembers: a, b$"):
        client.fork("a1", "x")
    client.submit("other", run_id="a2")
    with pytest.raises(UnknownStep, match="it remembers: nothing"):
        client.fork("a2", "x")
    with pytest.raises(RunNotFound):
        client.fork("a3", "x")
    for run_id in ("a1", "a2"):
        client.cancel(run_id)


def test_a_fork_begins_before_its_origin_was_stopped(client: Client, real: redis.Redis) -> None:
    remembering(client, real, "a", "b")
    real.rpush("stepflow:run:a1:journal", "stop|stop||2.000000|", "value|2|clean|2.000000|\x01")
    with pytest.raises(UnknownStep, match=r"it remembers: a, b$"):
        client.fork("a1", "clean")
    assert client.fork("a1", "b").cancel()
    client.cancel("a1")


def go_on(plan: Any, answer: Any, connection: SyncConnection) -> Any:
    """Carry out the rest of a plan that has been sent *answer*."""
    while True:
        try:
            step = plan.send(answer)
        except StopIteration as end:
            return end.value
        answer = connection.calls(step)


def test_a_journal_that_changed_meanwhile_is_looked_at_again(
    client: Client, real: redis.Redis, link_to_real: SyncConnection
) -> None:
    """
    `retry` may forget entries between the look at a journal and its copy: the script compares what
    follows.
    """
    remembering(client, real, "a", "b", "c")
    plan = fork("a1", "c", client.env, new_id="a2")
    looks = link_to_real.calls(plan.send(None))
    submit = plan.send(looks)
    real.lrem("stepflow:run:a1:journal", 1, b"value|0|a|1.000000|\x01")
    refused = link_to_real.calls(submit)
    assert refused == [{}]
    assert not real.exists("stepflow:run:a2", "stepflow:run:a2:journal")

    assert go_on(plan, refused, link_to_real).created
    assert real.lrange("stepflow:run:a2:journal", 0, -1) == [b"value|1|b|1.000000|\x01"]
    for run_id in ("a1", "a2"):
        client.cancel(run_id)


def test_the_second_arrival_of_a_fork_changes_nothing(
    client: Client, real: redis.Redis, link_to_real: SyncConnection
) -> None:
    """The reply to the script was lost, and it is sent again."""
    remembering(client, real, "a", "b")
    plan = fork("a1", "b", client.env, new_id="a2")
    submit = plan.send(link_to_real.calls(plan.send(None)))
    assert link_to_real.calls(submit) == [None]
    before = dump(real)
    assert link_to_real.calls(submit) == [None]
    assert dump(real) == before
    for run_id in ("a1", "a2"):
        client.cancel(run_id)


async def test_many_forks_of_one_id_at_once_make_one_run(
    aclient: AsyncClient, client: Client, real: redis.Redis
) -> None:
    remembering(client, real, *(f"s{n}" for n in range(50)))
    made = await asyncio.gather(*(aclient.fork("a1", "s40", new_id="a2") for _ in range(20)))
    assert sum(run.created for run in made) == 1
    assert real.llen("stepflow:run:a2:journal") == 40
    for run_id in ("a1", "a2"):
        client.cancel(run_id)


def test_what_a_forked_run_did_not_end_lives_on_without_a_time_to_live(
    client: Client, real: redis.Redis
) -> None:
    """The journal of an ended run expires with it; the copy must not."""
    remembering(client, real, "a", "b")
    client.cancel("a1")
    assert real.ttl("stepflow:run:a1:journal") > 0
    client.fork("a1", "b", new_id="a2")
    assert real.ttl("stepflow:run:a2:journal") == -1
    client.cancel("a2")
