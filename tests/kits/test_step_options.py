"""
Steps declared once: `@app.step` says how a function runs as a step, `ctx.step` may say otherwise.
"""

from __future__ import annotations

import asyncio
import functools
import time
from functools import partial
from typing import Any

import pytest

from stepflow import Context, RetryPolicy, StepFailed, Stepflow, Succeed
from stepflow.errors import InvalidOption
from tests.kits.memory import MemoryRuntime, activate
from tests.kits.replay.test_replay import to_the_end

app = Stepflow("redis://localhost:1")


async def test_a_declared_function_is_still_the_function_it_is() -> None:
    @app.step(retry=RetryPolicy(5), timeout=20)
    def double(n: int) -> int:
        """Twice."""
        return 2 * n

    @app.step
    async def triple(n: int) -> int:
        return 3 * n

    assert (double(2), await triple(2)) == (4, 6)
    assert (double.__name__, double.__doc__) == ("double", "Twice.")


async def test_what_is_declared_holds_where_the_call_says_nothing_and_the_call_wins() -> None:
    calls: list[str] = []

    @app.step(retry=RetryPolicy(2, initial=0.0), name="charge")
    async def failing(who: str) -> None:
        calls.append(who)
        raise ValueError(who)

    async def workflow(ctx: Context) -> list[str]:
        said = []
        for who, options in (("declared", {}), ("given", {"retry": RetryPolicy(1)})):
            try:
                await ctx.step(failing, who, **options)
            except StepFailed as error:
                said.append(str(error))
        return said

    runtime = MemoryRuntime()
    outcome = await to_the_end(runtime, workflow, policy=RetryPolicy(7, initial=0.0))
    assert isinstance(outcome, Succeed)
    assert calls == ["declared", "declared", "given"]
    assert all("'charge'" in said for said in outcome.result)
    assert all(entry.split(b"|")[2] == b"charge" for entry in runtime.journal)


async def test_a_declared_timeout_ends_an_attempt_and_a_name_before_the_function_is_the_steps() -> (
    None
):
    @app.step(timeout=0.001, retry=RetryPolicy(1))
    async def slow() -> None:
        await asyncio.Event().wait()

    async def workflow(ctx: Context) -> str:
        try:
            await ctx.step("named here", slow)
        except StepFailed as error:
            return error.error_type
        return "?"

    runtime = MemoryRuntime()
    assert await activate(runtime, workflow) == Succeed("TimeoutError")
    assert b"named here" in runtime.journal[0]


async def test_a_timeout_says_which_it_was_and_leaves_those_of_the_function_alone() -> None:
    async def hangs(_: int = 0) -> None:
        await asyncio.Event().wait()

    def blocks() -> None:
        time.sleep(0.1)

    async def times_out() -> None:
        async with asyncio.timeout(0):
            await hangs()

    async def gives_up() -> None:
        raise TimeoutError("the bank does not answer")

    async def workflow(ctx: Context) -> list[str]:
        said = []
        calls = [
            partial(ctx.options(timeout=0.01).step, each)
            for each in (hangs, blocks, times_out, gives_up)
        ]
        for call in [*calls, lambda: ctx.batch("many", hangs, [1], timeout=0.01)]:
            try:
                await call()
            except StepFailed as error:
                said.append(error.error_message)
        return said

    done = await activate(MemoryRuntime(), workflow, policy=RetryPolicy(1))
    late = "it took longer than its timeout of 0.01 s"
    assert done == Succeed([late, late, "", "the bank does not answer", f"[0] {late}"])


async def test_a_wrapper_made_with_wraps_takes_the_declaration_along() -> None:
    @app.step(name="inner")
    async def inner() -> str:
        return "in"

    @functools.wraps(inner)
    async def outer() -> str:
        return "out of " + await inner()

    async def workflow(ctx: Context) -> Any:
        return await ctx.step(outer)

    runtime = MemoryRuntime()
    assert await activate(runtime, workflow) == Succeed("out of in")
    assert runtime.journal[0].split(b"|")[2] == b"inner"


def test_what_cannot_be_declared_is_refused_in_words() -> None:
    with pytest.raises(InvalidOption, match="cannot mark"):
        app.step(len)
    with pytest.raises(InvalidOption, match="above 0 seconds"):
        app.step(timeout=0)(lambda: None)


async def test_a_declared_compensation_undoes_and_one_given_at_the_call_wins() -> None:
    """[F15] An undo that is declared itself is tried as that says."""
    undone: list[str] = []

    @app.step(retry=RetryPolicy(3, initial=0.0))
    async def undo(value: str) -> None:
        undone.append(f"try {value}")
        if len(undone) < 3:
            raise ValueError(value)

    @app.step(compensate=undo, retry=RetryPolicy(1))
    async def book(what: str) -> str:
        return what

    async def workflow(ctx: Context) -> None:
        await ctx.step(book, "hotel")
        await ctx.step(book, "train", compensate=lambda value: undone.append(f"other {value}"))
        raise ValueError("no")

    await to_the_end(MemoryRuntime(), workflow)
    assert undone == ["other train", "try hotel", "try hotel"]
