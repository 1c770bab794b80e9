"""What operators are told of runners: versions, builds, live workers, what waits [O16]."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import Context, Stepflow
from stepflow.engine.env import Env
from stepflow.engine.versions import announce_builds
from stepflow.store.connection.sync import carry_out
from tests.support import until


@pytest.fixture
def deployed(app: Stepflow) -> Stepflow:
    """An app with a workflow in two versions and a job."""
    for version in (1, 2):

        @app.workflow("order", version=version)
        async def order(ctx: Context, what: None) -> None: ...

    @app.job(name="mail")
    async def mail() -> None: ...

    return app


async def test_runners_are_listed_with_the_live_workers_that_have_them(deployed, aclient, working):
    async with working(deployed, name="w1", queues=["b", "a"]):
        await until(aclient.runners)
        found = await aclient.runners()
        assert [(each.runner, each.version) for each in found] == [
            ("mail", 1), ("order", 1), ("order", 2),
        ]  # fmt: skip
        assert [list(each.builds.values()) for each in found] == [[["w1"]]] * 3
        assert {tuple(each.queues) for each in found} == {("a", "b")}
        assert deployed.client.runners() == found


async def test_workers_with_different_code_have_different_builds(
    deployed, aclient, working, link_to_real, keys
):
    async with working(deployed, name="w1"):
        other = announce_builds("w2", "default", {"mail": "0123"}, Env(keys, deployed.settings))
        carry_out(link_to_real, other)
        [mail] = [each for each in await aclient.runners() if each.runner == "mail"]
        assert mail.builds["0123"] == ["w2"]
        assert sorted(mail.builds.values()) == [["w1"], ["w2"]]


async def test_runs_that_no_worker_can_run_are_counted_by_what_they_wait_for(
    deployed, aclient, working
):
    """Also for a runner that no worker has ever known."""
    for number in range(3):
        await aclient.submit("elt", run_id=f"e-{number}")
    await aclient.submit("order", version=7, run_id="o-1")

    async def waiting() -> dict[tuple[str, int], Any]:
        found = await aclient.runners()
        return {(each.runner, each.version): each.waiting for each in found if each.waiting}

    async with working(deployed):
        await until(lambda: counted(waiting, 4))
        assert await waiting() == {("elt", 1): 3, ("order", 7): 1}
        [unknown] = [each for each in await aclient.runners() if each.runner == "elt"]
        assert (unknown.builds, unknown.queues, unknown.seen_at) == ({}, [], None)
        for run_id in ("e-0", "e-1", "e-2", "o-1"):
            await aclient.cancel(run_id)


async def counted(waiting: Any, number: int) -> bool:
    return sum((await waiting()).values()) == number


async def test_a_runner_whose_workers_have_left_is_still_known(deployed, aclient, working):
    async with working(deployed):
        await until(aclient.runners)
    found = await aclient.runners()
    assert [each.runner for each in found] == ["mail", "order", "order"]
    assert {len(each.builds) for each in found} == {0}
    assert all(each.seen_at is not None for each in found)
