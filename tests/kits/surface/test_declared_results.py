"""What a workflow says that it returns is held to when it returns, and is what you read back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Coroutine, Iterable
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    LiteralString,
    Never,
    NoReturn,
    NotRequired,
    Protocol,
    TypedDict,
)

import pytest
from pydantic import BaseModel, field_validator

from stepflow import Cancel, Context, InvalidOption, RunFailed, Stepflow, Succeed, SyncContext
from stepflow.testing import Harness


class Report(BaseModel):
    title: str
    pages: int = 1


class Longer(Report):
    notes: str = ""


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


@pytest.mark.parametrize("result", [{"pages": 2}, None, "text", [Report(title="x")], {"title": 5}])
async def test_a_result_that_does_not_fit_fails_the_run_with_a_sentence(
    app: Stepflow, result: Any
) -> None:
    """[U1] It is never tried again, and what its steps did is undone."""
    undone: list[int] = []

    @app.workflow
    async def awaiting(ctx: Context) -> Report:
        await ctx.step("one", lambda: 1, compensate=undone.append)
        return result  # type: ignore[no-any-return]

    @app.workflow
    def plain(ctx: SyncContext) -> Report:
        return result  # type: ignore[no-any-return]

    async with Harness(app) as h:
        for workflow in (awaiting, plain):
            run = await h.submit(workflow)
            with pytest.raises(RunFailed, match="does not fit its return annotation") as caught:
                await run.result()
            assert f"workflow {workflow.__name__!r} returned" in str(caught.value)
        assert undone == [1]
        assert h.called.count("one") == 1


@pytest.mark.parametrize(
    "result", [Report(title="x"), {"title": "x"}, Longer(title="x", notes="n")]
)
async def test_a_result_that_reads_back_as_the_type_is_kept_as_it_is(
    app: Stepflow, result: Any
) -> None:
    @app.workflow
    async def flow(ctx: Context) -> Report:
        return result  # type: ignore[no-any-return]

    async with Harness(app) as h:
        run = await h.submit(flow)
        assert await run.result() == Report(title="x")


async def test_outcomes_and_undeclared_results_are_left_alone(app: Stepflow) -> None:
    @app.workflow
    async def succeeds(ctx: Context) -> Report | Succeed:
        return Succeed({"anything": 1})

    @app.workflow
    async def undeclared(ctx: Context):  # type: ignore[no-untyped-def]
        return {"anything": 1}

    @app.workflow
    async def whatever(ctx: Context) -> Any:
        return {"anything": 1}

    @app.workflow
    async def cancels(ctx: Context) -> Report:
        return Cancel("enough")  # type: ignore[return-value]

    async with Harness(app) as h:
        for workflow in (succeeds, undeclared, whatever):
            assert await h.result(await h.submit(workflow)) == {"anything": 1}
        assert (await h.status(await h.submit(cancels))).state == "cancelled"


async def test_a_new_history_is_no_result(app: Stepflow) -> None:
    """[U1] `continue_as_new` has no type to fit."""

    @app.workflow
    async def loop(ctx: Context, left: int) -> Report:
        if left:
            return await ctx.continue_as_new(left - 1)
        return Report(title="end")

    async with Harness(app) as h:
        assert await (await h.submit(loop, 2)).result() == Report(title="end")


async def test_an_annotation_may_name_what_is_defined_further_down(app: Stepflow) -> None:
    @app.workflow
    async def flow(ctx: Context) -> Below:
        return {"number": "x"}  # type: ignore[return-value]

    async with Harness(app) as h:
        with pytest.raises(RunFailed, match="does not fit its return annotation: number"):
            await h.result(await h.submit(flow))


@dataclass
class Below:
    number: int


def test_a_return_type_that_cannot_be_validated_is_refused_where_it_is_declared(
    app: Stepflow,
) -> None:
    class Odd:
        pass

    async def flow(ctx: Context): ...  # type: ignore[no-untyped-def]

    flow.__annotations__["return"] = Odd
    with pytest.raises(InvalidOption, match=r"the return type of 'flow'.* cannot be validated"):
        app.workflow(flow)


class Row(TypedDict):
    number: int
    note: NotRequired[str]


class Numbered(Protocol):
    number: int


@dataclass
class Frame:
    rows: OnlyForTheChecker  # type: ignore[name-defined]  # noqa: F821


class Split(BaseModel):
    tags: list[str]

    @field_validator("tags", mode="before")
    @classmethod
    def split(cls, text: str) -> list[str]:
        return text.split(",")


@pytest.mark.parametrize(
    ("declared", "result"),
    [
        (Row, {"number": 1}),
        (list[Row], [{"number": 1, "note": "n"}]),
        (dict[str, Row] | None, {"a": {"number": 1}}),
        (Annotated[Row, "x"], {"number": 1}),
        (NoReturn, None),
        (Never, None),
        (Numbered, Below(1)),
        (list[Numbered], [Below(1)]),
        (Collection[int], [1]),
        (Iterable[int], [1]),
        (LiteralString, "a"),
        (Awaitable[int], 1),
        (Coroutine[Any, Any, Row], {"number": 1}),
        (Frame, Frame([1])),
    ],
)
async def test_a_right_program_is_never_refused_for_its_return_type(
    app: Stepflow, declared: Any, result: Any
) -> None:
    """[U1] Neither where it is declared nor when it returns, whatever pydantic thinks of it."""

    async def returning(ctx: Context) -> Any:
        return result

    returning.__annotations__["return"] = declared
    app.workflow("flow")(returning)
    async with Harness(app) as h:
        assert (await h.status(await h.submit("flow"))).state == "succeeded"


@pytest.mark.parametrize(
    ("declared", "result"),
    [
        (Row, {"number": "x"}),
        (list[Row], [{"note": "n"}]),
        (dict[str, Row] | None, {"a": {}}),
        (Iterable[int], ["x"]),
        (Awaitable[int], "x"),
    ],
)
async def test_and_a_wrong_one_is_found_out(app: Stepflow, declared: Any, result: Any) -> None:
    async def returning(ctx: Context) -> Any:
        return result

    returning.__annotations__["return"] = declared
    app.workflow("flow")(returning)
    async with Harness(app) as h:
        status = await h.status(await h.submit("flow"))
    assert status.error is not None
    assert status.error.type == "ResultMismatch"


async def test_a_validator_that_raises_what_it_likes_is_told_in_a_sentence(app: Stepflow) -> None:
    @app.workflow
    async def flow(ctx: Context) -> Split:
        return Split(tags="a,b")  # type: ignore[arg-type]

    async with Harness(app) as h:
        with pytest.raises(RunFailed, match=r"cannot be read back: AttributeError: 'list'"):
            await h.result(await h.submit(flow))


def rows(number: int) -> list[Row]:
    return [{"number": number}]


def numbers(number: int) -> Iterable[int]:
    return [number]


def promised(number: int) -> Awaitable[int]:
    return asyncio.sleep(0, number)


async def test_the_same_types_serve_steps_jobs_and_inputs(app: Stepflow) -> None:
    """[U1] The TypedDict of `typing` too, which pydantic refuses before Python 3.12."""

    @app.job
    def job(row: Row) -> Row:
        return row

    @app.workflow
    async def flow(ctx: Context, row: Row) -> list[Any]:
        found = await ctx.step(rows, row["number"])
        return [*found, *await ctx.step(numbers, 2), await ctx.step(promised, 3)]

    async with Harness(app) as h:
        assert await h.result(await h.submit(flow, {"number": 1})) == [{"number": 1}, 2, 3]
        assert await h.result(await h.submit(job.name, {"row": {"number": 1}})) == {"number": 1}
