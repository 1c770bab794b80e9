"""A registered function stands for its name, and brings its type along."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from stepflow import (
    AsyncClient,
    ChildFailed,
    Client,
    Context,
    InvalidOption,
    Outcome,
    PermanentError,
    RunFailed,
    RunSpec,
    Step,
    Stepflow,
    Succeed,
    SyncContext,
)
from stepflow.settings import Settings
from stepflow.testing import Harness
from tests.conftest import Working


class Topic(BaseModel):
    text: str


class Report(BaseModel):
    title: str
    pages: int = 1


@dataclass
class Page:
    number: int


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


async def test_a_submitted_function_gives_a_handle_whose_result_has_its_type(
    app: Stepflow,
) -> None:
    """[U1] By name the same run gives plain values, as before."""

    @app.workflow("research")
    async def research(ctx: Context, topic: Topic) -> Report:
        return Report(title=topic.text)

    @app.workflow
    def plain(ctx: SyncContext) -> Page:
        return Page(3)

    async with Harness(app) as h:
        run = await h.submit(research, Topic(text="x"), run_id="a")
        assert await run.result() == Report(title="x")
        assert await h.result(run) == Report(title="x")
        assert await h.result("a") == {"title": "x", "pages": 1}
        again = await h.submit("research", Topic(text="x"), run_id="a")
        assert not again.created
        assert await again.result() == {"title": "x", "pages": 1}
        assert await (await h.submit(plain)).result() == Page(3)


async def test_both_clients_take_functions_on_a_real_server(
    url: str, settings: Settings, aclient: AsyncClient, working: Working
) -> None:
    """[U1] A client that knows no app goes by the mark on the function."""
    app = Stepflow(url, settings=settings)

    @app.workflow("research", version=3)
    async def research(ctx: Context, topic: Topic) -> Report:
        return Report(title=topic.text)

    @app.runner
    def triage(step: Step[Topic]) -> Outcome:
        return Succeed(step.payload.text)

    async with working(app):
        run = await aclient.submit(research, Topic(text="x"))
        assert await run.result(60) == Report(title="x")
        status = await run.status()
        assert status is not None
        assert status.runner == "research"
        both = await aclient.submit_many([(research, Topic(text="y")), ("triage", {"text": "z"})])
        assert [await each.result(60) for each in both] == [Report(title="y"), "z"]
        assert await (await aclient.submit(triage, Topic(text="w"))).result(60) == "w"
    with Client(url, settings=settings) as client:
        same = client.submit(research, Topic(text="x"), run_id=run.id)
        assert not same.created
        assert same.result(60) == Report(title="x")


async def test_children_and_maps_of_a_function_give_its_type(app: Stepflow) -> None:
    """[U1] Live and on replay, whichever policy a map has."""

    @app.workflow
    async def render(ctx: Context, number: int) -> Page:
        if number < 0:
            raise PermanentError("no such page")
        return Page(number)

    @app.workflow
    async def parent(ctx: Context) -> bool:
        child = await ctx.spawn(render, 1)
        one = await child.result()
        everything = await ctx.map(render, [2, 3], limit=1)
        settled = await ctx.map(render, [4, -4], join="settled")
        first = await ctx.map(render, [5], join=1)
        await ctx.sleep(60)
        assert (one, everything, settled[0]) == (Page(1), [Page(2), Page(3)], Page(4))
        assert isinstance(settled[1], ChildFailed)
        return first == [(0, Page(5))]

    @app.workflow
    def plain_parent(ctx: SyncContext) -> list[Page]:
        found = [ctx.spawn(render, 1).result(), *ctx.map(render, [2])]
        ctx.sleep(60)
        return found

    async with Harness(app) as h:
        run, other = await h.submit(parent), await h.submit(plain_parent)
        await h.advance(61)
        assert await run.result() is True
        assert await other.result() == [Page(1), Page(2)]


async def test_a_function_means_its_own_version(app: Stepflow) -> None:
    """[U1] The name alone means the newest one."""

    @app.workflow("w")
    async def old(ctx: Context) -> str:
        return "old"

    @app.workflow("w", version=2)
    async def new(ctx: Context) -> str:
        return "new"

    async with Harness(app) as h:
        runs = [await h.submit(old), await h.submit(new), await h.submit("w")]
        assert [await run.result() for run in runs] == ["old", "new", "new"]
        assert await (await h.submit(old, version=2)).result() == "new"


async def test_a_decorator_above_the_registration_keeps_the_mark(app: Stepflow) -> None:
    @app.workflow
    async def inner(ctx: Context) -> str:
        return "done"

    @functools.wraps(inner)
    async def outer(ctx: Context) -> str:
        return await inner(ctx)

    async with Harness(app) as h:
        assert await (await h.submit(outer)).result() == "done"


async def test_what_is_not_registered_here_is_refused_in_words(app: Stepflow) -> None:
    """[U1] Also a function with two names: which one do you mean?"""

    async def stranger(ctx: Context) -> None: ...

    @Stepflow("redis://elsewhere.invalid").workflow("theirs")
    async def foreign(ctx: Context) -> None: ...

    @app.workflow("a")
    @app.workflow("b")
    async def twice(ctx: Context) -> None: ...

    @app.job
    def resize(path: str) -> None: ...

    refusals: list[tuple[Any, str]] = [
        (stranger, "stranger is not a workflow of this app: put @app.workflow above it"),
        (foreign, "foreign is not a workflow of this app but of another one"),
        (twice, "twice is registered as 'a' and as 'b': pass the name that you mean"),
        (resize, r"resize is a job; write resize\.submit\(\.\.\.\)"),
        (5, "client.submit was given 5, which is not a function"),
    ]
    async with Harness(app) as h:
        for function, words in refusals:
            with pytest.raises(InvalidOption, match=words):
                await h.submit(function)
            with pytest.raises(InvalidOption, match=words.replace("submit was", "submit_many was")):
                await h.client.submit_many([(function, None)])
        with pytest.raises(InvalidOption, match="you called stranger"):
            await h.submit(stranger(None))  # type: ignore[call-overload, arg-type]


async def test_a_function_that_a_workflow_may_not_spawn_fails_its_run(app: Stepflow) -> None:
    async def stranger(ctx: Context, item: int) -> None: ...

    @app.workflow
    async def spawns(ctx: Context) -> None:
        await ctx.spawn(stranger, 1)

    @app.workflow
    async def maps(ctx: Context) -> None:
        await ctx.map(stranger, [1])

    async with Harness(app) as h:
        for workflow in (spawns, maps):
            with pytest.raises(RunFailed, match="stranger is not a workflow of this app"):
                await h.result(await h.submit(workflow))


async def test_a_spec_may_name_its_runner_by_a_function(app: Stepflow) -> None:
    @app.workflow
    async def research(ctx: Context) -> Report:
        return Report(title="x")

    async with Harness(app) as h:
        [run] = await h.client.submit_many([RunSpec(research)])  # type: ignore[arg-type]
        assert await run.result() == Report(title="x")
