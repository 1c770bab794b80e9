"""States that no script writes [O1] [O2]: `why` says so after a second look, and what mends it."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow.engine.env import Env
from stepflow.engine.why import CODES, ask, settle
from stepflow.settings import Settings
from stepflow.store.connection.sync import carry_out
from tests.support import dump, until
from tests.why.breaking import BREAKING, add_all, park

WAYS = [
    pytest.param(code, way, id=f"{code}: {way.__name__}")
    for code, ways in BREAKING.items()
    for way in ways
]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks follow each other at once: nothing moves in these tests unless it is moved."""
    monkeypatch.setattr("stepflow.engine.why.LOOK_AGAIN_S", 0.01)


@pytest.mark.parametrize(("code", "way"), WAYS)
async def test_a_broken_run_is_called_so(scene, code, way):
    add_all(scene.app)
    await way(scene)
    why = await scene.client.why("a")
    assert (why.code, why.word) == (code, "broken")
    assert why.sentence
    assert why.commands == ("stepflow doctor a --repair",)
    scene.real.flushall()


async def test_a_turn_that_never_comes(scene):
    add_all(scene.app)
    await park(scene, "maps")
    why = await scene.client.why("a")
    stem = why.child.run_id.rpartition("-")[0]
    last = f"{stem}-2"
    assert (await scene.client.why(last)).code == "waiting.turn"
    scene.real.hset(scene.key("a", "maps:0"), f"{stem}.next", 3)
    why = await scene.client.why(last)
    assert (why.code, why.word) == ("X7", "broken")
    scene.real.delete(scene.key("a"))
    assert (await scene.client.why(last)).code == "X7"
    scene.real.flushall()


async def test_a_hook_that_stands_nowhere(scene):
    @scene.app.on_terminal
    def note(outcome: Any) -> None:
        raise ValueError("down")

    add_all(scene.app)
    async with scene.working(scene.app, next_wait=lambda *_: 60.0):
        await scene.client.submit("r", run_id="a")
        await until(lambda: scene.real.zcard(scene.keys.due))
    scene.real.delete(scene.keys.due)
    why = await scene.client.why("a")
    assert why.code == "X10"
    scene.real.flushall()


async def test_a_run_that_moves_between_two_looks_is_not_called_broken(scene):
    """[O3] A look may fall into the middle of a move: only two that find the same count."""
    await scene.client.submit("r", run_id="a")
    scene.claim()
    lease = scene.real.zscore(scene.keys.claims, "run:a")
    scene.real.zrem(scene.keys.claims, "run:a")
    env, connection = scene.client.env, scene.app.client.connection
    looks = settle("a", env)
    first = carry_out(connection, next(looks))
    assert first.code == "X1"
    second = looks.send(first)
    scene.real.zadd(scene.keys.claims, {"run:a": lease})
    with pytest.raises(StopIteration) as end:
        looks.send(carry_out(connection, second))
    assert end.value.value.word == "running"
    scene.real.flushall()


async def test_a_run_that_looks_different_each_time_is_explained_by_its_record(scene):
    await scene.client.submit("r", run_id="a")
    scene.claim()
    scene.real.zrem(scene.keys.claims, "run:a")
    seen: list[Any] = []

    def looked() -> Any:
        why = yield from settle("a", scene.client.env)
        seen.append(why)

    looks = looked()
    plan: Any = next(looks)
    while plan is not None:
        why = carry_out(scene.app.client.connection, plan)
        scene.real.hincrby(scene.key("a"), "rev", 1)
        plan = next_plan(looks, why)
    assert [why.word for why in seen] == ["running"]
    scene.real.flushall()


def next_plan(looks: Any, why: Any) -> Any:
    try:
        return looks.send(why)
    except StopIteration:
        return None


def test_a_server_without_info_and_a_user_who_may_not_ask_for_it_are_no_trouble(store, keys):
    """A claimed run: whether Redis takes writes is not known then."""
    store.held()
    why = carry_out(store.connection, ask("a", Env(keys, Settings())))
    assert why.word == "running"


async def test_every_code_of_a_defect_is_broken_by_a_test():
    tested = {*BREAKING, "X7", "X10"}
    assert {code for code in CODES if code.startswith("X")} == tested


async def test_asking_writes_nothing_and_takes_two_round_trips(scene, monkeypatch):
    """[O1]"""
    add_all(scene.app)
    await park(scene, "waits")
    scene.register()
    trips = []
    connection = scene.app.client.connection
    calls = type(connection).calls

    def counted(self: Any, wanted: Any) -> Any:
        trips.append(len(wanted))
        return calls(self, wanted)

    monkeypatch.setattr(type(connection), "calls", counted)
    before = dump(scene.real)
    carry_out(connection, ask("a", scene.client.env))
    assert len(trips) == 2
    assert dump(scene.real) == before
    await scene.client.cancel("a")
