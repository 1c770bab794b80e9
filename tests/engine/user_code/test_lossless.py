"""
What a job, step or workflow returns, or is called with: nothing of it is lost to an annotation
without a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import FunctionType
from typing import Any

import pytest
from pydantic import BaseModel

from stepflow import Context, Stepflow
from stepflow.engine.user_code.arguments import bind
from stepflow.errors import RunFailed, UnsupportedValue
from stepflow.testing import Harness


class Base(BaseModel):
    a: int = 1


class Sub(Base):
    b: int = 2


@dataclass
class Plain:
    a: int = 1


@dataclass
class PlainSub(Plain):
    b: int = 2


class Report(BaseModel):
    it: Base = Base()


async def narrow() -> Base:
    return Sub()


async def narrow_list() -> list[Base | None]:
    return [None, Sub()]


def narrow_plain() -> Plain:
    return PlainSub()


async def wide() -> Base | Sub:
    return Sub()


async def unsaid():
    return Sub()


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.mark.parametrize("way", ["job", "step", "elsewhere"])
@pytest.mark.parametrize(
    ("function", "path"),
    [(narrow, ""), (narrow_list, "[1]"), (narrow_plain, "")],
    ids=["model", "list", "dataclass"],
)
async def test_what_the_return_annotation_would_drop_fails_where_it_is_packed(
    app, way, function, path
):
    """[B15] Was: the caller saw the base class, the fields of the subclass were gone."""
    job = app.job(name="job")(function)

    # a declaration is kept with the function, and this one is the other tests' as well
    own = FunctionType(function.__code__, function.__globals__, "own")
    own.__annotations__ = function.__annotations__
    declared = app.step(name="it", queue="other")(own)

    @app.workflow("flow")
    async def flow(ctx: Context) -> Any:
        return await ctx.step("it", function)

    @app.workflow("far")
    async def far(ctx: Context) -> Any:
        return await ctx.step(declared)

    async with Harness(app) as h:
        run = await (job.submit() if way == "job" else h.submit("flow" if way == "step" else "far"))
        with pytest.raises(RunFailed, match=r"has no 'b': that would be lost") as caught:
            await run.result()
        what = "the value of step 'it'" if way == "step" else "the result"
        assert f"{what}{path}: it is a " in str(caught.value)


@pytest.mark.parametrize(
    ("function", "wanted"), [(wide, Sub(b=2)), (unsaid, {"a": 1, "b": 2})], ids=["union", "unsaid"]
)
async def test_what_the_return_annotation_admits_comes_whole(app, function, wanted):
    """[B15]"""
    job = app.job(name="job")(function)

    @app.workflow("flow")
    async def flow(ctx: Context) -> bool:
        return bool(await ctx.step("it", function) == wanted)

    async with Harness(app) as h:
        assert await (await job.submit()).result() == wanted
        assert await h.result(await h.submit("flow")) is True


async def test_a_workflows_result_is_a_map_of_all_that_it_returned(app):
    """[B15] Who reads it knows no annotation."""

    @app.workflow("flow")
    async def flow(ctx: Context) -> Base:
        return Sub()

    @app.workflow("nested")
    async def nested(ctx: Context) -> Report:
        return Report(it=Sub())

    async with Harness(app) as h:
        assert await h.result(await h.submit("flow")) == {"a": 1, "b": 2}
        with pytest.raises(RunFailed, match=r"\.it: it is a Sub, annotated as Base"):
            await h.result(await h.submit("nested"))


def test_an_argument_with_more_fields_than_its_annotation_is_refused_at_submit():
    """[B15]"""

    def job(one: Base, *many: Base, named: dict[str, Plain] | None = None) -> None: ...

    assert bind(job, (Base(), Base()), {"named": {"k": Plain()}}) == {
        "one": Base(), "many": [Base()], "named": {"k": Plain()},
    }  # fmt: skip
    for args, kwargs, path in (
        ((Sub(),), {}, "argument 'one' of 'job'"),
        ((Base(), Base(), Sub()), {}, "argument 'many' of 'job'[1]"),
        ((Base(),), {"named": {"k": PlainSub()}}, "argument 'named' of 'job'.k"),
    ):
        with pytest.raises(UnsupportedValue, match="'b'") as caught:
            bind(job, args, kwargs)
        assert caught.value.path == path
