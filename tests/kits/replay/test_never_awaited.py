"""[U5] A workflow that returns with calls that it never awaited fails, and names them."""

from __future__ import annotations

import asyncio
import inspect
import re
from functools import partial
from typing import Any

import pytest

from stepflow import Context, Stepflow, SyncContext


async def work(word: str = "done") -> str:
    return word


async def step(ctx: Context) -> str:
    ctx.step("lost", work)
    return "early"


async def step_whose_value_came(ctx: Context) -> str:
    ctx.step("lost", work)
    await ctx.step("other", work)
    return "late"


async def held(ctx: Context) -> str:
    lost = ctx.step("lost", work)
    await ctx.step("other", work)
    return type(lost).__name__


async def one_of_two(ctx: Context) -> str:
    found = await ctx.step("found", work)
    ctx.step("lost", work)
    return found


async def in_a_branch(ctx: Context) -> list[str]:
    async def branch() -> str:
        ctx.step("lost", work)
        return await ctx.step("other", work)

    return await asyncio.gather(branch(), ctx.step("third", work))


async def sleep(ctx: Context) -> str:
    ctx.sleep(0.001)
    return "early"


async def signal(ctx: Context) -> str:
    ctx.wait_for_signal("lost")
    return "early"


async def question(ctx: Context) -> str:
    ctx.ask(str, "lost?")
    return "early"


async def variable(ctx: Context) -> str:
    ctx.vars.set("lost", 1)
    return "early"


async def spawned(ctx: Context) -> str:
    ctx.spawn("child", "lost")
    return "early"


async def child_result(ctx: Context) -> str:
    child = await ctx.spawn("child", "lost")
    child.result()
    return "early"


async def child_result_that_came(ctx: Context) -> str:
    child = await ctx.spawn("child", "lost")
    child.result()
    await ctx.sleep(0.3)
    return "late"


async def mapped(ctx: Context) -> str:
    ctx.map("child", ["lost"])
    return "early"


async def polled(ctx: Context) -> str:
    ctx.poll("lost", work, every=1)
    return "early"


async def continued(ctx: Context) -> str:
    ctx.step("lost", work)
    return await ctx.continue_as_new(None)


FORGETFUL = [
    step, step_whose_value_came, held, one_of_two, in_a_branch, sleep, signal, question, variable,
    spawned, child_result, child_result_that_came, mapped, polled, continued,
]  # fmt: skip


def line_of_lost_call(function: Any) -> int:
    """Give the line of the call that is not awaited, which has "lost" in it for most."""
    lines, first = inspect.getsourcelines(function)
    lost = [
        number
        for number, line in enumerate(lines, first)
        if re.search(r"ctx\.\w+(\.\w+)?\(.*lost|ctx\.sleep\(0\.001|child\.result", line)
        and "await" not in line
    ]
    return lost[-1]


@pytest.fixture
def with_child(app: Stepflow) -> Stepflow:
    @app.workflow("child")
    async def child(ctx: Context, word: str) -> str:
        return word

    return app


@pytest.mark.parametrize("function", FORGETFUL, ids=lambda function: function.__name__)
async def test_the_run_fails_and_names_the_call_and_its_line(
    function, with_child, aclient, working
):
    with_child.workflow("w")(function)
    async with working(with_child):
        run = await aclient.submit("w")
        status = await run.wait(60)
    assert (status.state, status.error.type) == ("failed", "NeverAwaited"), status
    place = f"line {line_of_lost_call(function)} of tests/kits/replay/test_never_awaited.py"
    assert status.error.message.count("line ") == 1, status.error.message
    assert place in status.error.message
    assert "ctx.detach(...)" in status.error.message


async def awaited_later(ctx: Context) -> str:
    first, second = ctx.step("first", work), ctx.step("second", work)
    return await second + await first


async def gathered(ctx: Context) -> list[str]:
    return await asyncio.gather(*(ctx.step(f"s{n}", work) for n in range(3)))


async def task_whose_end_nobody_awaits(ctx: Context) -> str:
    async def branch() -> str:
        return await ctx.step("branch", work)

    task = asyncio.ensure_future(branch())
    await ctx.step("other", work)
    return type(task).__name__


async def raced(ctx: Context) -> str:
    slow = ctx.wait_for_signal("never")
    done, _ = await asyncio.wait(
        {ctx.step("fast", work), slow}, return_when=asyncio.FIRST_COMPLETED
    )
    return str(len(done))


async def cancelled(ctx: Context) -> str:
    call = ctx.sleep(100)
    call.cancel()
    return "cancelled"


async def looked_at(ctx: Context) -> str:
    call = ctx.step("first", work)
    await ctx.step("second", work)
    return call.result()


async def asked_whether_it_is_there(ctx: Context) -> int:
    stop, rounds = ctx.wait_for_signal("stop"), 0
    while not stop.done() and rounds < 2:
        rounds += len(await ctx.step("round", work, "x"))
    return rounds


async def with_a_callback(ctx: Context) -> str:
    ctx.step("first", work).add_done_callback(lambda _: None)
    return await ctx.step("second", work)


async def detached(ctx: Context) -> str:
    ctx.detach(ctx.step("first", work))
    ctx.detach(ctx.sleep(100))
    ctx.detach(ctx.map("child", ["a"]))
    ctx.detach(ctx.poll("poll", work, every=1))
    return await ctx.step("second", work)


async def known_by_its_key(ctx: Context) -> str:
    await ctx.step("first", work, key="k")
    ctx.step("first", work, key="k")
    return "known"


async def children(ctx: Context) -> list[str]:
    child = await ctx.spawn("child", "a")
    return [await child.result(), *await ctx.map("child", ["b"])]


async def polls(ctx: Context) -> str | None:
    return await ctx.poll("poll", work, every=1, timeout=5)


MINDFUL = [
    awaited_later, gathered, task_whose_end_nobody_awaits, raced, cancelled, looked_at,
    asked_whether_it_is_there, with_a_callback, detached, known_by_its_key, children, polls,
]  # fmt: skip


@pytest.mark.parametrize("function", MINDFUL, ids=lambda function: function.__name__)
async def test_what_was_awaited_in_any_way_is_not_forgotten(function, with_child, aclient, working):
    with_child.workflow("w")(function)
    async with working(with_child):
        run = await aclient.submit("w")
        status = await run.wait(60)
    assert status.state == "succeeded", status.error


async def test_the_workflow_s_own_error_wins_and_has_a_note(app, aclient, working):
    @app.workflow("w")
    async def workflow(ctx: Context) -> None:
        ctx.step("lost", work)
        raise ValueError("its own")

    async with working(app):
        status = await (await aclient.submit("w")).wait(60)
    assert (status.error.type, status.error.message) == ("ValueError", "its own")
    assert "never awaited: step lost (line " in status.error.traceback


async def test_what_was_done_before_is_undone(app, aclient, working):
    undone = []

    @app.workflow("w")
    async def workflow(ctx: Context) -> str:
        await ctx.step("book", work, compensate=undone.append)
        ctx.step("lost", work)
        return "early"

    async with working(app):
        status = await (await aclient.submit("w")).wait(60)
    assert status.error.type == "NeverAwaited"
    assert undone == ["done"]


async def test_a_cancelled_run_is_cancelled_whatever_it_has_forgotten(app, aclient, working):
    @app.workflow("w")
    async def workflow(ctx: Context) -> None:
        ctx.step("lost", work)
        await ctx.wait_for_signal("never")

    async with working(app):
        run = await aclient.submit("w")
        while (await run.status()).state != "waiting":
            await asyncio.sleep(0.01)
        await run.cancel("enough")
        assert (await run.wait(60)).state == "cancelled"


async def test_a_verdict_stands(app, aclient, working):
    from stepflow import Fail

    @app.workflow("w")
    async def workflow(ctx: Context) -> Any:
        ctx.step("lost", work)
        return Fail("its own")

    async with working(app):
        status = await (await aclient.submit("w")).wait(60)
    assert status.error.message == "its own"


async def test_a_plain_workflow_awaits_by_itself(app, aclient, working):
    @app.workflow("w")
    def workflow(ctx: SyncContext) -> list[str]:
        ctx.step("first", work)
        return ctx.parallel(partial(ctx.step, "a", work), partial(ctx.step, "b", work))

    async with working(app):
        assert await (await aclient.submit("w")).result(60) == ["done", "done"]


async def test_an_awaiting_workflow_is_replayed_no_once_more(app, aclient, working):
    """Only one that may have forgotten a call is looked at again at its end."""
    began = []

    @app.workflow("w")
    async def workflow(ctx: Context) -> str:
        began.append(1)
        await asyncio.gather(*(ctx.step(f"s{n}", work) for n in range(3)))
        return await ctx.step("last", work)

    async with working(app):
        await (await aclient.submit("w")).result(60)
    assert began == [1]


async def test_a_function_that_did_not_come_to_its_await_fails_by_its_own_error(
    app, aclient, working
):
    @app.workflow("w")
    async def workflow(ctx: Context) -> str:
        later = ctx.step("later", work)
        await ctx.step("bad", int, "x")
        return await later

    async with working(app):
        status = await (await aclient.submit("w")).wait(60)
    assert status.error.type == "StepFailed"
