"""Steps on another queue: each a child run of one step, made by a worker that serves that queue."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from stepflow import (
    AsyncClient,
    Context,
    PermanentError,
    RetryPolicy,
    RunFailed,
    RunState,
    StepFailed,
    Stepflow,
)
from tests.conftest import Working
from tests.support import until


@dataclass
class Image:
    width: int


async def test_a_step_on_another_queue_is_done_by_the_worker_there_and_its_value_comes_typed(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F17] The workflow's own worker does not serve that queue, and holds nothing meanwhile."""

    @app.step(queue="gpu")
    def render(width: int) -> Image:
        return Image(width)

    @app.workflow("w")
    async def workflow(ctx: Context) -> int:
        image = await ctx.step(render, width=7)
        assert isinstance(image, Image)
        return image.width

    async with working(app):
        run = await aclient.submit("w")

        async def waits() -> bool:
            status = await run.status()
            return status is not None and status.state is RunState.WAITING

        await until(waits)
        async with working(app, queues=["gpu"]):
            assert await run.result(60) == 7


async def test_its_failure_is_the_steps_and_its_attempts_are_the_childs(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F17]"""
    tries: list[int] = []

    @app.step
    def broken(n: int) -> None:
        tries.append(n)
        raise ValueError("no gpu")

    @app.workflow("w", retry=RetryPolicy(2, initial=0.01))
    async def workflow(ctx: Context) -> str:
        try:
            await ctx.step("render", broken, 1, queue="gpu")
        except StepFailed as error:
            return f"{error.step} {error.error_type} {error.error_message}"
        return "?"

    async with working(app, queues=["default", "gpu"]):
        run = await aclient.submit("w")
        assert await run.result(60) == "render ValueError no gpu"
        assert tries == [1, 1]


async def test_what_was_done_elsewhere_is_undone_here(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F15] [F17]"""
    undone: list[str] = []

    @app.step(queue="gpu", compensate=undone.append)
    def render(name: str) -> str:
        return f"image of {name}"

    def wrong() -> None:
        raise PermanentError("wrong")

    @app.workflow("w")
    async def workflow(ctx: Context) -> None:
        await ctx.step(render, "a", key="once")
        await ctx.step(wrong)

    async with working(app, queues=["default", "gpu"]):
        run = await aclient.submit("w")
        with pytest.raises(RunFailed, match="wrong"):
            await run.result(60)
        assert undone == ["image of a"]


async def test_what_nobody_there_could_find_is_refused(
    app: Stepflow, aclient: AsyncClient, working: Working
) -> None:
    """[F17] An undeclared function, and a timeout that the child could not be given."""

    def plain() -> None: ...

    @app.step
    def known() -> None: ...

    @app.workflow("w")
    async def workflow(ctx: Context, which: str) -> None:
        if which == "undeclared":
            await ctx.step(plain, queue="gpu")
        else:
            await ctx.step(known, queue="gpu", timeout=5)

    async with working(app):
        for which, words in (
            ("undeclared", "put @app.step above"),
            ("timeout", "give its timeout to @app.step"),
        ):
            run = await aclient.submit("w", which)
            with pytest.raises(RunFailed, match=words):
                await run.result(60)
