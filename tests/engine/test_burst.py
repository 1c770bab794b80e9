"""When a worker that is to leave once nothing is left to do may leave."""

from functools import partial
from types import SimpleNamespace

import pytest

from stepflow import Succeed
from stepflow.worker.fetcher import Burst


@pytest.fixture
def world():
    found = SimpleNamespace(
        steps=SimpleNamespace(), hooks=SimpleNamespace(), is_busy=False, has_left=False
    )

    def leave():
        found.has_left = True

    burst = Burst(2, is_busy=lambda: found.is_busy, leave=leave)
    found.steps.on_look, found.hooks.on_look = (partial(burst.looked, number) for number in (0, 1))
    return found


def test_one_fetcher_in_vain_says_nothing_of_the_other_whose_look_is_under_way(world):
    for _ in range(5):
        world.hooks.on_look(False)
    assert not world.has_left


def test_it_leaves_when_both_have_looked_twice(world):
    for look in (world.steps, world.hooks, world.steps):
        look.on_look(False)
    assert not world.has_left
    world.hooks.on_look(False)
    assert world.has_left


@pytest.mark.parametrize("has_found", [True, False], ids=["found", "in progress"])
def test_what_is_found_or_in_progress_may_leave_something_behind_in_either_queue(world, has_found):
    for look in (world.steps, world.hooks, world.hooks):
        look.on_look(False)
    world.is_busy = not has_found
    world.steps.on_look(has_found)
    world.is_busy = False
    for _ in range(2):
        assert not world.has_left
        world.steps.on_look(False)
    world.hooks.on_look(False)
    assert not world.has_left
    world.hooks.on_look(False)
    assert world.has_left


@pytest.mark.parametrize("count", [300, pytest.param(1500, marks=pytest.mark.crash)])
async def test_a_burst_leaves_nothing_behind(app, aclient, working, count):
    @app.runner("fine")
    async def fine(step):
        return Succeed()

    runs = await aclient.submit_many([("fine", number) for number in range(count)])
    async with working(app, burst=True) as worker:
        await worker._leave.wait()
    assert [
        status.state
        for status in [await run.status() for run in runs]
        if status.state != "succeeded"
    ] == []
