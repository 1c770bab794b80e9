"""[O7] The doctor and the lists of runs: of all, by runner, by tag, and of the version before."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow.store.indexes.old import old_ended_index, old_expiry, old_runner_index
from stepflow.store.keys import LIVE
from tests.listing.before import Before
from tests.support import dump
from tests.why.breaking import add_all
from tests.why.test_doctor import broken, doctor, soon

__all__ = ["soon"]


def changed(scene: Any, before: dict[bytes, Any]) -> set[str]:
    """Name the keys of the server that are not as they were."""
    after = dump(scene.real)
    return {key.decode() for key in {*before, *after} if before.get(key) != after.get(key)}


async def test_a_live_run_that_no_list_names_is_put_into_both_of_its_lists(scene):
    add_all(scene.app)
    await scene.client.submit("r", run_id="a", delay=3600)
    await scene.client.submit("r", run_id="b", delay=3600)
    lists = [scene.keys.live, scene.keys.runner_index(LIVE, "r")]
    stood = [scene.real.zscore(index, "a") for index in lists]
    for index in lists:
        scene.real.zrem(index, "a")
    before = dump(scene.real)
    _, found = await doctor(scene, "--deep")
    assert [(each["code"], each["where"]) for each in broken(found)] == [("X8", "a")]
    assert changed(scene, before) == set()
    await doctor(scene, "--deep", "--repair")
    assert [scene.real.zscore(index, "a") for index in lists] == stood
    assert changed(scene, before) == set(lists)
    for by in ({}, {"runner": "r"}):
        assert [run.id for run in (await scene.client.list(**by)).runs] == ["b", "a"]
    scene.real.flushall()


async def test_runs_that_only_the_version_before_has_listed_are_not_missing(scene):
    """Their place is right until a worker moves it: the doctor leaves it as it is."""
    before = Before(scene.app.client, scene.real, scene.keys)
    for run_id in ("ended", "live"):
        before.submit(run_id, "r")
    before.fail("ended")
    stood = dump(scene.real)
    assert scene.real.zscore(old_ended_index(scene.keys, "failed"), "ended") is not None
    _, found = await doctor(scene, "--deep", "--repair")
    assert found["findings"] == []
    assert changed(scene, stood) == set()
    scene.real.flushall()


def lists_of_ended(scene: Any) -> list[str]:
    """Name the lists that an ended run of runner r may stand in."""
    keys = scene.keys
    return [
        keys.ended_index("failed"), keys.runner_index("failed", "r"),
        keys.runner_index(LIVE, "r"), keys.tag_index("tenant=acme"),
        old_ended_index(keys, "failed"), old_runner_index(keys, "r"),
    ]  # fmt: skip


async def test_a_deep_look_takes_out_of_every_list_what_is_gone_and_nothing_else(scene):
    add_all(scene.app)
    await scene.client.submit("r", run_id="kept", tags={"tenant": "acme"})
    await scene.client.fail("kept")
    await scene.client.submit("r", run_id="lives", delay=3600, tags={"tenant": "acme"})
    before = dump(scene.real)
    for index in lists_of_ended(scene):
        scene.real.zadd(index, {"gone": 1.0})
    _, found = await doctor(scene)
    assert found["findings"] == []
    _, found = await doctor(scene, "--deep")
    assert {(each["code"], each["where"]) for each in found["findings"]} == {
        ("leftover", f"{index} gone") for index in lists_of_ended(scene)
    }
    await doctor(scene, "--deep", "--repair")
    assert changed(scene, before) == set()
    scene.real.flushall()


@pytest.mark.parametrize("version", ["this", "before"])
async def test_what_has_expired_and_a_worker_forgets_soon_is_no_leftover(scene, version):
    expiry = scene.keys.expiry if version == "this" else old_expiry(scene.keys)
    for index in lists_of_ended(scene):
        scene.real.zadd(index, {"gone": 1.0})
    scene.real.zadd(expiry, {"failed|r|gone": 1.0})
    before = dump(scene.real)
    _, found = await doctor(scene, "--deep", "--repair")
    assert found["findings"] == []
    assert changed(scene, before) == set()
    scene.real.flushall()
