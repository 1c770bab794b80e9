"""The doctor [O6] [O7]: what is broken by hand it finds and mends, and touches nothing else."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from stepflow.cli.main import cli
from stepflow.engine.doctor import examine
from stepflow.store.connection.sync import carry_out
from stepflow.store.evidence.whole import mend_ttl, put_back, take_out
from stepflow.store.runs import load_run
from tests.support import dump, until
from tests.why.breaking import BREAKING, add_all, park, remove

WAYS = [
    pytest.param(code, way, id=f"{code}: {way.__name__}")
    for code, ways in BREAKING.items()
    for way in ways
]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two looks follow each other at once: nothing moves in these tests unless it is moved."""
    monkeypatch.setattr("stepflow.engine.why.LOOK_AGAIN_S", 0.01)
    # the package has a function of the module's name
    monkeypatch.setattr(import_module("stepflow.engine.doctor.examine"), "LOOK_AGAIN_S", 0.01)


async def doctor(scene: Any, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the doctor; gives its exit code and what it found."""
    words = ["--redis-url", scene.url, "doctor", "--json", *arguments]
    result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    assert result.exit_code in (0, 1), result.output
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize(("code", "way"), WAYS)
async def test_what_is_broken_is_found_mended_and_goes_on_to_its_end(scene, code, way):
    """[O2] [O7]"""
    add_all(scene.app)
    scene.register("elsewhere", ["elsewhere"], seen_ago=None)
    await scene.client.submit("waits", run_id="beside", queue="other", delay=3600)
    await way(scene)
    beside = parts_of(scene, "beside")
    deep = ["--deep"] if code == "X8" else []
    status, found = await doctor(scene, *deep)
    assert status == 1
    assert [(each["code"], each["where"]) for each in broken(found)] == [(code, "a")]
    status, found = await doctor(scene, "--repair", *deep)
    assert [(each["code"], each["is_mended"]) for each in broken(found)] == [(code, True)]
    status, found = await doctor(scene, *deep)
    assert broken(found) == []
    assert parts_of(scene, "beside") == beside
    async with scene.working(scene.app):
        await scene.ends("succeeded")
    await scene.client.cancel("beside")
    for run in (await scene.client.list()).runs:
        await scene.client.cancel(run.id)
    scene.real.flushall()


def broken(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in found["findings"] if each["code"] != "leftover"]


def parts_of(scene: Any, run_id: str) -> Any:
    """Give all that the server holds under the name of a run, and where it is due."""
    start = scene.key(run_id).encode()
    parts = {key: value for key, value in dump(scene.real).items() if key.startswith(start)}
    return parts, scene.real.zscore(scene.keys.due, f"run:{run_id}")


async def test_a_repair_of_one_run_touches_nothing_else(scene):
    """[O7] Every key of the server is compared."""
    add_all(scene.app)
    await scene.client.submit("r", run_id="b", timeout=60)
    await scene.client.submit("r", run_id="a", timeout=60)
    scene.real.zrem(scene.keys.deadlines, "a", "b")
    before = dump(scene.real)
    await scene.carry("stepflow doctor a --repair")
    after = dump(scene.real)
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed == {scene.keys.deadlines.encode()}
    assert scene.real.zrange(scene.keys.deadlines, 0, -1) == [b"a"]
    scene.real.flushall()


async def test_a_map_goes_on_whose_turn_was_passed_over(scene):
    add_all(scene.app)
    await park(scene, "maps")
    stem = (await scene.client.why("a")).child.run_id.rpartition("-")[0]
    scene.real.hset(scene.key("a", "maps:0"), f"{stem}.next", 3)
    _, found = await doctor(scene, "--repair")
    assert [(each["code"], each["is_mended"]) for each in found["findings"]] == [("X7", True)] * 2
    async with scene.working(scene.app):
        for number in range(3):
            await scene.client.signal(f"{stem}-{number}", "go")
        await scene.ends("succeeded")


async def test_a_child_whose_parent_is_gone_ends(scene):
    add_all(scene.app)
    await park(scene, "maps")
    stem = (await scene.client.why("a")).child.run_id.rpartition("-")[0]
    remove(scene, "a")
    await doctor(scene, "--repair")
    await scene.ends("cancelled", f"{stem}-2")
    scene.real.flushall()


async def test_a_hook_that_stands_nowhere_is_delivered(scene):
    told = []

    @scene.app.on_terminal
    def note(outcome: Any) -> None:
        told.append(outcome.run_id)
        if len(told) < 2:
            raise ValueError("down")

    add_all(scene.app)
    async with scene.working(scene.app, next_wait=lambda *_: 60.0):
        await scene.client.submit("r", run_id="a")
        await until(lambda: scene.real.zcard(scene.keys.due))
    scene.real.delete(scene.keys.due)
    _, found = await doctor(scene)
    assert [each["code"] for each in found["findings"]] == ["X10"]
    await doctor(scene, "--repair")
    async with scene.working(scene.app):
        await until(lambda: len(told) == 2)
        await until(lambda: not scene.real.zcard(scene.keys.live_hooks))


async def test_what_leads_to_nothing_is_taken_out(scene):
    real, keys = scene.real, scene.keys
    indexes = {
        keys.claims: "run:x", keys.due: "hook:x", keys.deadlines: "x", keys.questions: "x",
        keys.live: "x", keys.live_hooks: "x",
    }  # fmt: skip
    for index, member in indexes.items():
        real.zadd(index, {member: 1.0})
    status, found = await doctor(scene)
    assert status == 0
    assert {each["where"] for each in found["findings"]} == {
        f"{index} {member}" for index, member in indexes.items()
    }
    await doctor(scene, "--repair")
    assert not real.exists(*indexes)


async def test_what_rq_keeps_of_runs_that_are_gone_is_taken_out(scene):
    real = scene.real
    await scene.client.submit("r", run_id="a", delay=3)
    kept = {"rq:job:run-a-0", "rq:scheduled:default"}
    real.hset("rq:job:run-x-0", "status", "queued")
    real.zadd("rq:wip:default", {"run-x-0:w1.0.": 1.0})
    real.zadd("rq:scheduled:default", {"run-x-1": 1.0})
    real.hset("rq:job:somebody-elses", "status", "queued")
    _, found = await doctor(scene, "--deep", "--repair")
    assert {each["where"] for each in found["findings"]} == {
        "rq:job:run-x-0", "rq:wip:default run-x-0:w1.0.", "rq:scheduled:default run-x-1"
    }  # fmt: skip
    assert not real.exists("rq:job:run-x-0", "rq:wip:default")
    assert real.exists(*kept, "rq:job:somebody-elses") == 3
    await scene.client.cancel("a")
    real.delete("rq:job:somebody-elses")


async def test_where_all_is_well_it_says_so_and_writes_nothing(scene):
    """[O6] Exit code 0."""
    add_all(scene.app)
    scene.register(runners=["r", "waits", "asks", "begins", "maps", "sleeps"])
    await park(scene, "maps")
    await scene.client.submit("r", run_id="b", delay=60, timeout=60)
    await scene.client.submit("r", run_id="c")
    scene.register(runners=["r", "waits", "asks", "begins", "maps", "sleeps"])
    before = dump(scene.real)
    status, found = await doctor(scene, "--repair", "--deep")
    assert (status, found["findings"], found["is_well"]) == (0, [], True)
    assert found["runs"] == 6
    assert dump(scene.real) == before
    scene.real.flushall()


async def test_a_queue_without_a_worker_is_bad(scene):
    await scene.client.submit("r", run_id="a", queue="gpu")
    status, found = await doctor(scene)
    assert status == 1
    [line] = [line for line in found["lines"] if line["level"] == "bad"]
    assert "stepflow worker APP --queue gpu" in line["sentence"]
    await scene.client.cancel("a")
    scene.real.delete("rq:queue:gpu")


async def test_a_worker_whose_loop_is_blocked_is_not_gone(scene):
    """It is said to be blocked, and what waits for it waits for that."""
    scene.register("w1", seen_ago=400)
    beat = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    scene.real.hset("rq:worker:w1", mapping={"condition": "blocked", "last_heartbeat": beat})
    await scene.client.submit("r", run_id="a")
    _, found = await doctor(scene)
    said = [line["sentence"] for line in found["lines"] if line["what"] in {"workers", "queues"}]
    assert [sentence.partition(":")[0] for sentence in said] == [
        "no live worker", "code blocks the event loop of w1",
        "1 entry waits in queue default, whose workers are blocked",
    ]  # fmt: skip
    await scene.client.cancel("a")


async def test_the_report_for_people(scene):
    await scene.client.submit("r", run_id="a", timeout=60)
    scene.real.zrem(scene.keys.deadlines, "a")
    words = ["--redis-url", scene.url, "doctor"]
    result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    assert "X9        a: its time limit is not kept" in result.stdout
    assert "stepflow doctor --repair mends these" in result.stdout
    result = await asyncio.to_thread(CliRunner().invoke, cli, [*words, "--repair"])
    assert "; mended" in result.stdout
    await scene.client.cancel("a")


async def test_what_moves_between_two_looks_is_left_alone(scene):
    """A run that goes on after the first look is neither told of nor touched."""
    add_all(scene.app)
    await scene.client.submit("r", run_id="a")
    scene.claim()
    lease = scene.real.zscore(scene.keys.claims, "run:a")
    scene.real.zrem(scene.keys.claims, "run:a")
    connection = scene.app.client.connection
    steps = examine(scene.client.env, repair=True)
    _, plan = next(steps)
    seen = carry_out(connection, plan)
    assert [why.code for why in seen.broken] == ["X1"]
    _, plan = steps.send(seen)
    scene.real.zadd(scene.keys.claims, {"run:a": lease})
    with pytest.raises(StopIteration) as end:
        steps.send(carry_out(connection, plan))
    assert end.value.value.findings == []
    scene.real.flushall()


async def test_keys_with_a_wrong_time_to_live_are_mended(scene):
    add_all(scene.app)
    real = scene.real
    async with scene.working(scene.app):
        await scene.client.submit("r", run_id="ended")
        await scene.ends("succeeded", "ended")
    real.persist(scene.key("ended", "data"))
    await scene.client.submit("r", run_id="a", delay=3600)
    real.expire(scene.key("a", "data"), 60)
    status, found = await doctor(scene, "--deep")
    assert status == 1
    assert {each["where"]: each["code"] for each in found["findings"]} == {
        "a": "expires", "ended": "leftover"
    }  # fmt: skip
    status, found = await doctor(scene, "--deep", "--repair")
    assert status == 0
    assert real.ttl(scene.key("a", "data")) == -1
    assert real.ttl(scene.key("ended", "data")) > 0
    _, found = await doctor(scene, "--deep")
    assert found["findings"] == []
    await scene.client.cancel("a")


# ---- the scripts


def test_the_keys_of_a_run_that_has_ended_since_are_left_as_they_are(store, keys):
    run = store.held()
    store.client.expire(keys.run("a"), 60)
    store.client.hset(keys.run("a"), "ended", "5.000000")
    assert store.connection.call(mend_ttl(keys, run.id, "", [keys.run("a")], 9.0)) == 0
    assert store.client.ttl(keys.run("a")) > 0
    call = mend_ttl(keys, run.id, "5.000000", [keys.run("a"), keys.run("a") + ":data"], 9.0)
    assert store.connection.call(call) == 1
    assert store.client.ttl(keys.run("a") + ":data") > 0
    store.client.flushall()


def test_a_run_that_has_moved_is_not_put_back(store, keys):
    run = store.held()
    store.client.hincrby(keys.run("a"), "rev", 1)
    assert store.connection.call(put_back(keys, run, keys.deadlines, "a", 5.0)) is False
    assert store.client.zcard(keys.deadlines) == 0
    run = store.load()
    assert store.connection.call(put_back(keys, run, keys.deadlines, "a", 5.0)) is True
    assert store.connection.call(put_back(keys, run, keys.deadlines, "a", 9.0)) is False
    assert store.client.zscore(keys.deadlines, "a") == 5.0


def test_a_member_whose_record_is_there_again_is_not_taken_out(store, keys):
    store.held()
    store.client.zadd(keys.deadlines, {"a": 5.0, "b": 5.0})
    for run_id, is_taken in {"a": False, "b": True}.items():
        call = take_out(keys.run(run_id), keys.deadlines, run_id)
        assert store.connection.call(call) is is_taken
    assert store.client.zrange(keys.deadlines, 0, -1) == [b"a"]
    assert store.connection.call(load_run(keys, "a")) is not None
