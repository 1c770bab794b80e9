"""Forks with another input and another version."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow import Context, RunConflict
from tests.support import until


async def test_a_fork_has_another_input_and_version(app, aclient, working):
    """[O10] It remembers what the first run did, and the same fork again finds it."""
    ran: list[Any] = []

    async def work(what: str) -> str:
        ran.append(what)
        return what

    @app.workflow("order")
    async def order(ctx: Context, item: str) -> list[str]:
        return [await ctx.step(work, "first"), await ctx.step("second", work, item)]

    @app.workflow("order", version=2)
    async def order_2(ctx: Context, item: str) -> list[str]:
        return [await ctx.step(work, "first"), await ctx.step("second", work, f"{item}!")]

    async with working(app):
        run = await aclient.submit("order", "tea", version=1)
        assert await run.result(60) == ["first", "tea"]
        options: dict[str, Any] = {"new_id": "fork", "version": 2, "payload": "milk"}
        fork = await aclient.fork(run.id, "second", **options)
        assert fork.created
        assert await fork.result(60) == ["first", "milk!"]
        assert ran == ["first", "tea", "milk!"]
        assert not (await aclient.fork(run.id, "second", **options)).created
        with pytest.raises(RunConflict):
            await aclient.fork(run.id, "second", **{**options, "payload": "beer"})
        status = await fork.status()
        assert (status.payload, status.version) == ("milk", 2)


async def test_a_fork_names_the_questions_that_were_settled_before_it(app, aclient, working, real):
    """[U9] Also a fork of a fork, of a run that has continued as new, and without the original."""

    async def publish(answers: list[Any]) -> list[Any]:
        return answers

    @app.workflow("asks")
    async def asks(ctx: Context, again: bool) -> list[Any]:
        if again:
            return await ctx.continue_as_new(False)
        answer = await ctx.ask(bool, "Publish?")
        late = await ctx.ask(bool, "Anyone?", timeout=0.01)
        return await ctx.step(publish, [answer, late])

    async def asked(run_id: str) -> list[str]:
        return [step.name for step in await aclient.steps(run_id) if step.kind == "question"]

    async with working(app):
        run = await aclient.submit("asks", True, run_id="first")
        [question] = await until(aclient.questions)
        await aclient.answer(question.token, True)
        assert await run.result(60) == [True, None]
        assert await (await aclient.fork("first", "publish", new_id="second")).result(60)
        await aclient.delete("first")
        assert await (await aclient.fork("second", "publish", new_id="third")).result(60)
        assert await asked("second") == await asked("third") == ["Publish?", "Anyone?"]
    real.delete("stepflow:run:third:replies")  # a run of a version before
    assert (await aclient.fork("third", "publish", new_id="fourth")).created
    assert await asked("fourth") == ["answered", "not answered in time"]
