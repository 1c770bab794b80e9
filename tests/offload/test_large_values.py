"""Large values go to their store and come back, wherever a run may have one; small ones do not."""

from __future__ import annotations

import gc
import os

import pytest

import stepflow
from stepflow import Continue, PayloadTooLarge, RunSpec, Step, Succeed
from stepflow.errors import RunFailed
from stepflow.store.offload.use import present
from stepflow.worker.claimed_run import Attempt
from tests.offload.conftest import MB, files_in
from tests.support import until

LARGE = os.urandom(200_000)


@pytest.fixture
def settings(settings, request):
    """A limit of 2 MB for the test that asks for it."""
    if "capped" not in request.fixturenames:
        return settings
    offload = settings.offload.model_copy(update={"limit_bytes": 2 * MB})
    return settings.model_copy(update={"offload": offload})


@pytest.fixture
def capped() -> None:
    """The store takes values of up to 2 MB."""


def largest_in(real) -> int:
    """Say how many bytes the largest value in Redis has."""
    sizes = [0]
    for key in real.scan_iter(count=1000):
        kind = real.type(key)
        if kind == b"hash":
            sizes += [len(value) for value in real.hvals(key)]
        elif kind == b"list":
            sizes += [len(value) for value in real.lrange(key, 0, -1)]
        elif kind == b"string":
            sizes.append(real.strlen(key))
    return max(sizes)


@pytest.mark.crash  # takes seconds
async def test_a_result_of_50_mb_comes_back_and_none_of_it_is_in_redis(
    app, aclient, real, working, folder
):
    """[S16]"""
    large = os.urandom(25 * MB) * 2

    @app.workflow("exports")
    async def exports(ctx: stepflow.Context) -> bytes:
        return await ctx.step(lambda: large)

    async with working(app):
        run = await aclient.submit("exports")
        assert await run.result(60) == large
    assert largest_in(real) < 10_000
    assert len(files_in(folder)) == 2


async def test_a_step_whose_value_is_large_is_not_called_again_by_a_replay(app, aclient, working):
    """[S16] [F1]"""
    calls = []

    def load() -> bytes:
        calls.append(1)
        return LARGE

    @app.workflow("waits")
    async def waits(ctx: stepflow.Context) -> int:
        large = await ctx.step(load)
        await ctx.wait_for_signal("go")
        return len(large) if large == LARGE else -1

    async with working(app):
        run = await aclient.submit("waits")
        await aclient.signal(run.id, "go")
        assert await run.result(60) == len(LARGE)
    assert calls == [1]


async def test_payloads_of_runs_of_steps_and_of_children_are_offloaded(
    app, aclient, real, working, folder
):
    """[S16]"""

    @app.runner("carries")
    async def carries(step: Step[bytes]):
        return Continue(step.payload + b"+") if step.number < 2 else Succeed(step.payload)

    @app.workflow("parent")
    async def parent(ctx: stepflow.Context, payload: bytes) -> list[bytes]:
        child = await ctx.spawn("carries", payload)
        every = await ctx.map("carries", [payload, b"small"])
        return [await child.result(), *every]

    async with working(app):
        run = await aclient.submit("parent", LARGE)
        assert await run.result(60) == [LARGE + b"++", LARGE + b"++", b"small++"]
    assert largest_in(real) < 10_000


async def test_the_same_large_input_finds_the_same_run_and_another_is_refused(
    client, aclient, folder
):
    """[C3] [S16] What no run has is deleted again: the same submit may come every minute."""
    first = client.submit("echo", LARGE, run_id="a")
    written = files_in(folder)
    again = client.submit("echo", LARGE, run_id="a")
    more = client.submit_many([RunSpec("echo", LARGE, run_id="a")])
    more += [await aclient.submit("echo", LARGE, run_id="a")]
    more += await aclient.submit_many([RunSpec("echo", LARGE, run_id="a")])
    assert (first.created, again.created) == (True, False)
    assert [each.created for each in more] == [False] * 3
    with pytest.raises(stepflow.RunConflict):
        client.submit("echo", LARGE + b".", run_id="a")
    with pytest.raises(stepflow.RunConflict):
        await aclient.submit("echo", LARGE + b".", run_id="a")
    assert files_in(folder) == written
    assert len(written) == 1


async def test_what_a_run_had_in_memory_is_freed_with_it(app, aclient, working):
    """[S16]"""

    @app.workflow("echo")
    async def echo(ctx: stepflow.Context, payload: bytes) -> bytes:
        return await ctx.step(lambda: payload)

    # those of tests before, which somebody may hold
    known = [each for each in gc.get_objects() if isinstance(each, Attempt)]

    def attempts() -> list[Attempt]:
        found = [each for each in gc.get_objects() if isinstance(each, Attempt)]
        return [each for each in found if all(each is not other for other in known)]

    async with working(app):
        gc.disable()
        try:
            run = await aclient.submit("echo", LARGE)
            assert await run.result(60) == LARGE
            await until(lambda: not present().held and not attempts())
        finally:
            gc.enable()


async def test_small_values_stay_in_redis(app, aclient, working, folder):
    @app.workflow("echo")
    async def echo(ctx: stepflow.Context, payload: str) -> str:
        return await ctx.step(lambda: payload)

    async with working(app):
        run = await aclient.submit("echo", "small")
        assert await run.result(60) == "small"
    assert files_in(folder) == []


async def test_a_batch_has_large_values(app, aclient, real, working):
    @app.workflow("all")
    async def all_of(ctx: stepflow.Context) -> list[int]:
        made = await ctx.batch(lambda number: bytes([number]) * 100_000, [1, 2, 3])
        await ctx.sleep(0.01)
        return [len(set(each)) * each[0] for each in made]

    async with working(app):
        run = await aclient.submit("all")
        assert await run.result(60) == [1, 2, 3]
    assert largest_in(real) < 10_000


async def test_what_is_shown_of_a_large_value_is_its_size_and_digest(app, aclient, working):
    """[S16]"""

    @app.workflow("echo")
    async def echo(ctx: stepflow.Context, payload: bytes) -> bytes:
        return await ctx.step(lambda: payload)

    async with working(app):
        run = await aclient.submit("echo", LARGE)
        await run.result(60)
    status = await aclient.status(run.id)
    steps = (await aclient.steps(run.id)).steps
    shown = [status.payload, status.result, steps[0].value]
    assert {text.partition("SHA-256")[0] for text in shown} == {"<200,005 bytes, offloaded, "}


async def test_a_value_above_the_limit_of_the_store_fails_its_run(app, aclient, working, capped):
    large = bytes(2 * MB + 1)

    @app.runner("too-much")
    async def too_much(step: Step):
        return Succeed(large)

    with pytest.raises(PayloadTooLarge):
        await aclient.submit("too-much", large)
    async with working(app):
        run = await aclient.submit("too-much")
        with pytest.raises(RunFailed, match="PayloadTooLarge"):
            await run.result(60)
