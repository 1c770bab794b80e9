"""A call of `ctx` that could only go wrong fails the run at once, in words, and does nothing."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from typing import Any

import pytest

from stepflow import (
    Child,
    Context,
    InvalidOption,
    RetryPolicy,
    RunFailed,
    RunSpec,
    Session,
    StepCaller,
    Stepflow,
    Succeed,
    SyncChild,
    SyncContext,
    SyncSession,
    SyncStepCaller,
    SyncVariables,
    UnsupportedValue,
    Variables,
)
from stepflow.engine.user_code.callables import arguments_problem
from stepflow.testing import Harness
from tests.kits.memory import MemoryRuntime, activate


@pytest.fixture
def app() -> Stepflow:
    return Stepflow("redis://nowhere.invalid")


called: list[Any] = []


def charge(order: str, amount: int = 1, *, note: str = "") -> str:
    called.append(order)
    return order


async def fetch(url: str, timeout: float) -> str:
    called.append(url)
    return url


def must(*, word: str) -> str:
    return word


class Service:
    def charge(self, order: str) -> str:
        return order

    def __call__(self, order: str) -> str:
        return order


class Static:
    @staticmethod
    def __call__(order: str) -> str:
        return order


class OfClass:
    @classmethod
    def __call__(cls, order: str) -> str:
        return order


def yields() -> Any:
    yield 1


async def inner(ctx: Context) -> None: ...


def no_more(**options: int) -> None: ...


Call = Callable[[Any], Any]
WRONG: dict[str, tuple[Call, str]] = {
    "missing": (lambda ctx: ctx.step(charge), "missing a required argument: 'order'"),
    "too many": (lambda ctx: ctx.step(charge, 1, 2, 3), "too many positional arguments"),
    "unknown": (lambda ctx: ctx.step("pay", charge, "o", amuont=3), "step 'pay' .* 'amuont'"),
    "twice": (lambda ctx: ctx.step(charge, "o", order="p"), "multiple values for .* 'order'"),
    "keyword missing": (lambda ctx: ctx.step(must), "missing a required .*'word'"),
    "keyword by place": (lambda ctx: ctx.step(must, "x"), "too many positional arguments"),
    "varkw": (lambda ctx: ctx.step(no_more, 1), "too many positional arguments"),
    "method": (lambda ctx: ctx.step(Service().charge), "missing a required argument: 'order'"),
    "method, more": (lambda ctx: ctx.step(Service().charge, 1, 2), "too many positional"),
    "object": (lambda ctx: ctx.step("call", Service(), 1, 2), "too many positional arguments"),
    "partial": (lambda ctx: ctx.step("p", functools.partial(charge, "o", 1), 2), "too many posit"),
    "lambda": (lambda ctx: ctx.step("l", lambda: 5, 1), "too many positional arguments"),
    "option's name": (
        lambda ctx: ctx.step(fetch, "u", timeout=3),
        r"missing .*'timeout'.*the function's by ctx\.options\(\.\.\.\)\.step\(fetch, \.\.\.\)",
    ),
    "options": (lambda ctx: ctx.options(timeout=3).step(fetch, "u"), "missing .* 'timeout'"),
    "poll": (lambda ctx: ctx.poll(charge, every=5), "missing a required argument: 'order'"),
    "coroutine": (
        lambda ctx: ctx.step(fetch("u", 3)),
        r"you called fetch\(\); .* ctx\.step\(fetch,",
    ),
    "named coroutine": (
        lambda ctx: ctx.step("get", fetch("u", 3)),
        r"you called fetch\(\); .* write ctx\.step\('get', fetch, \.\.\.\)",
    ),
    "value": (lambda ctx: ctx.step("get", 5), "was given 5, which is not a function"),
    "no function": (lambda ctx: ctx.step("get"), r"ctx\.step\('get'\) was given no function"),
    "number": (lambda ctx: ctx.step(5), "ctx.step was given 5, which is not a function"),
    "generator": (lambda ctx: ctx.step(yields), r"yields\(\), a generator function"),
    "workflow": (lambda ctx: ctx.step(inner, 1), "is to call inner, which is a workflow"),
    "workflow with other arguments": (
        lambda ctx: ctx.step(inner, 1, 2, 3),
        "is to call inner, which is a workflow",
    ),
    "workflow alone": (lambda ctx: ctx.step(inner), "is to call inner, which is a workflow"),
    "retry": (lambda ctx: ctx.step(charge, "o", retry=5), r"RetryPolicy\(max_attempts=5\)"),
    "retry of options": (lambda ctx: ctx.options(retry=5).step(charge, "o"), "RetryPolicy"),
    "timeout": (lambda ctx: ctx.step(charge, "o", timeout="5"), "a duration is seconds or"),
    "negative": (lambda ctx: ctx.step(charge, "o", timeout=-5), "a duration is seconds or"),
    "undo": (lambda ctx: ctx.step(charge, "o", compensate=5), "compensate of step .* given 5"),
    "errors": (lambda ctx: ctx.poll(charge, "o", every=5, max_errors=-1), "max_errors of ctx.poll"),
    "spawn": (lambda ctx: ctx.spawn(charge, "o"), "charge is not a workflow of this app"),
    "spawn coroutine": (lambda ctx: ctx.spawn(inner(ctx)), r"you called inner\(\)"),
    "spawn timeout": (lambda ctx: ctx.spawn("inner", timeout="5"), "a duration is seconds or"),
    "map": (lambda ctx: ctx.map(5, [1]), "ctx.map was given 5, which is not a function"),
    "sleep": (lambda ctx: ctx.sleep("5"), "a duration is seconds or"),
}


@pytest.mark.crash
@pytest.mark.parametrize("call", WRONG)
async def test_a_wrong_call_fails_the_run_at_once(app: Stepflow, call: str) -> None:
    """[U6] It is not tried again, leaves no entry, and the function is not called."""
    make, words = WRONG[call]
    app.workflow(inner)
    before, activations = len(called), []

    @app.workflow(retry=RetryPolicy(5))
    async def awaiting(ctx: Context) -> None:
        activations.append(1)
        await make(ctx)

    @app.workflow(retry=RetryPolicy(5))
    def plain(ctx: SyncContext) -> None:
        activations.append(1)
        make(ctx)

    async with Harness(app) as h:
        for workflow in (awaiting, plain):
            run = await h.submit(workflow)
            with pytest.raises(RunFailed, match=words):
                await run.result()
            assert (await h.history(run))["journal"] == []
        assert (len(called), len(activations)) == (before, 2)
    inner.__dict__.clear()


async def test_an_argument_that_was_not_awaited_is_refused() -> None:
    """[U6] As a function of another loop a step could not await it either."""

    async def one(ctx: Context) -> None:
        await ctx.step(charge, ctx.step(charge, "a"))  # type: ignore[arg-type]

    async def named(ctx: Context) -> None:
        await ctx.step(charge, "a", amount=fetch("u", 3))  # type: ignore[arg-type]

    async def task(ctx: Context) -> None:
        await ctx.step(charge, asyncio.create_task(fetch("u", 3)))  # type: ignore[arg-type]

    async def gathered(ctx: Context) -> None:
        await ctx.step(charge, asyncio.gather(ctx.step(charge, "a")))  # type: ignore[arg-type]

    first = [(each, "argument 1") for each in (one, task, gathered)]
    for workflow, place in (*first, (named, "argument 'amount'")):
        outcome: Any = await activate(MemoryRuntime(), workflow)
        assert outcome.error.type == "InvalidOption"
        assert f"{place} of step 'charge' is" in outcome.error.message
        assert not outcome.retryable


async def test_ctx_inside_a_step_is_refused_in_words(app: Stepflow) -> None:
    """[U6] In a thread and on the loop."""

    @app.workflow
    async def flow(ctx: Context) -> list[str]:
        async def on_the_loop() -> Any:
            return await ctx.step(charge, "o")

        def in_a_thread() -> Any:
            return ctx.step(charge, "o")

        said = []
        for function in (on_the_loop, in_a_thread):
            try:
                await ctx.step(function)
            except Exception as error:  # noqa: BLE001
                said.append(str(error))
        return said

    async with Harness(app) as h:
        with pytest.raises(RunFailed, match=r"inside a step.*call it in the workflow function"):
            await (await h.submit(flow)).result()


async def test_a_call_that_was_right_once_is_checked_again_with_other_arguments() -> None:
    """[U6] And one that was wrong stays wrong, in the activations after it."""
    said = []

    async def flow(ctx: Context) -> None:
        await ctx.step(charge, "o", note="x")
        for kwargs in ({"note": "y"}, {"noot": "z"}, {"noot": "z"}):
            try:
                await ctx.step("again", charge, "o", **kwargs)
            except InvalidOption as error:
                said.append("noot" in str(error))

    await activate(MemoryRuntime(), flow)
    assert said == [True, True]


def test_a_wrapper_that_takes_other_arguments_than_what_it_wraps_is_believed() -> None:
    """[U6] A decorator may pass an argument of its own; `__wrapped__` does not count."""

    @functools.wraps(charge)
    def with_session(order: str) -> str:
        return charge(order, 5)

    @functools.wraps(must)
    def anything(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    assert arguments_problem(with_session, ("o",), {}) is None
    assert arguments_problem(with_session, ("o", 1), {}) is not None
    assert arguments_problem(anything, (1, 2), {"x": 1}) is None


class Odd:
    def only(self, a: int, /, b: int, *c: int, d: int, e: int = 0, **f: int) -> None: ...

    @classmethod
    def made(cls, a: int) -> None: ...

    @staticmethod
    def free(a: int) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((1, 2), {"d": 1}), ((1, 2, 3, 4), {"d": 1, "e": 2, "g": 3}), ((1,), {"b": 2, "d": 1}),
        ((1,), {"d": 1}), ((1, 2), {}), ((1, 2), {"b": 1, "d": 2}),
        pytest.param(
            (), {"a": 1, "b": 2, "d": 3},
            marks=pytest.mark.xfail(
                sys.version_info[:3] == (3, 13, 0), reason="its Signature.bind() takes that"
            ),
        ),
        ((1,), {"b": 2, "d": 1, "a": 5}),
    ],
)  # fmt: skip
def test_what_is_refused_is_what_python_refuses(
    args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    """[U6] For methods, static and class methods and partials of a `def` with every parameter."""
    odd = Odd()
    for function in (odd.only, functools.partial(odd.only, 0), odd.made, odd.free, len, dict):
        try:
            function(*args, **kwargs)
        except TypeError:
            fits = False
        else:
            fits = True
        problem = arguments_problem(function, args, kwargs)
        assert (problem is None) == (fits or function in (len, dict))


async def test_options_never_clash_with_the_functions_own_keywords() -> None:
    """[U2] `ctx.options(...)` takes the step's, all that follows is the function's."""

    def odd(key: str, retry: int, timeout: float, compensate: str, queue: str) -> list[Any]:
        return [key, retry, timeout, compensate, queue]

    async def flow(ctx: Context) -> Any:
        step = ctx.options(timeout=30, key="k")
        first = await step.step(odd, key="a", retry=1, timeout=2.0, compensate="b", queue="c")
        again = await ctx.options(key="k").step("other", odd, "z", 9, 9.0, "z", "z")
        return first == again == ["a", 1, 2.0, "b", "c"]

    runtime = MemoryRuntime()
    outcome: Any = await activate(runtime, flow)
    assert outcome.result is True
    assert len(runtime.journal) == 1


async def test_each_option_counts_when_it_is_set_apart(app: Stepflow) -> None:
    """[U2] The retry policy, the time limit and the compensation, in both kinds of workflow."""
    undone: list[str] = []
    tries: list[str] = []

    async def slow(timeout: str) -> str:
        tries.append(timeout)
        await h.sleep(60)
        return timeout

    @app.workflow
    async def awaiting(ctx: Context) -> None:
        await ctx.options(compensate=undone.append).step(charge, "a")
        await ctx.options(timeout=1, retry=RetryPolicy(2, initial=0.0)).step(slow, "s")

    @app.workflow
    def plain(ctx: SyncContext) -> None:
        ctx.options(compensate=undone.append).step(charge, "p")
        ctx.options(timeout=1, retry=RetryPolicy(2, initial=0.0)).step(slow, timeout="t")

    async with Harness(app) as h:
        runs = [await h.submit(awaiting), await h.submit(plain)]
        await h.advance(10)
        for run in runs:
            with pytest.raises(RunFailed, match="TimeoutError"):
                await run.result()
    assert sorted(undone) == ["a", "p"]
    assert sorted(tries) == ["s", "s", "t", "t"]


async def test_a_payload_that_was_not_awaited_is_refused_and_closed(app: Stepflow) -> None:
    """[U6] No warning says that it was never awaited; also deep inside, and as a child's input."""
    app.workflow("inner")(lambda ctx, item: item)

    @app.workflow
    async def spawns(ctx: Context) -> None:
        await ctx.spawn("inner", {"a": ctx.step(charge, "o")})

    words = r"payload\.a\[0\]: a coroutine has no value yet; await it first"
    async with Harness(app) as h:
        with pytest.raises(UnsupportedValue, match=words):
            await h.submit("inner", {"a": [fetch("u", 3)]})
        with pytest.raises(RunFailed, match="a Future has no value yet"):
            await h.result(await h.submit(spawns))


def public(cls: type) -> set[str]:
    ours = [base for base in cls.__mro__ if base.__module__.startswith("stepflow.")]
    return {name for base in ours for name in vars(base) if not name.startswith("_")}


@pytest.mark.parametrize(
    ("awaited", "blocking"),
    [
        (Context, SyncContext), (StepCaller, SyncStepCaller), (Child, SyncChild),
        (Variables, SyncVariables), (Session, SyncSession),
    ],
)  # fmt: skip
def test_whatever_is_awaited_has_a_face_that_blocks(awaited: type, blocking: type) -> None:
    """[U1] At run time any method blocks; type checkers see those that are written out."""
    # where each call blocks, none is left that was never awaited
    assert public(awaited) - public(blocking) - {"detach"} == set()


async def test_a_job_as_a_step_is_called_as_it_always_was(app: Stepflow) -> None:
    """[U6] Histories remember the name of the step."""

    @app.job
    def resize(path: str) -> str:
        return path

    async def flow(ctx: Context) -> Any:
        return await ctx.step(resize, "a")

    runtime = MemoryRuntime()
    assert await activate(runtime, flow) == Succeed("a")
    assert runtime.journal[0].split(b"|")[2] == b"Job"


@pytest.mark.parametrize(
    "function", [Service(), Static(), OfClass(), Service().charge, functools.partial(Static())]
)
def test_an_object_that_is_called_is_asked_what_its_call_takes(function: Any) -> None:
    """[U6] Whether that is given the object, its class, or neither."""
    assert arguments_problem(function, ("o",), {}) is None
    assert arguments_problem(function, (), {}) is not None or isinstance(function, OfClass)


async def test_an_input_of_a_workflow_that_takes_none_is_a_warning_with_what_to_write(
    app: Stepflow, caplog: pytest.LogCaptureFixture
) -> None:
    """Of whoever knows the app's code: its clients, its schedules, groups, signals that start."""

    @app.workflow("nightly")
    async def nightly(ctx: Context) -> str:
        return "done"

    @app.workflow("nightly", version=2)
    async def nightly_of_a_day(ctx: Context, day: str) -> str:
        return day

    def told() -> list[str]:
        """Take the names of those of which it was said; each is said once."""
        said = [each.getMessage() for each in caplog.records if "takes no input" in each.message]
        caplog.clear()
        assert all("nothing reads the str that it is given; leave that out" in one for one in said)
        return [one.split("'")[1] for one in said]

    for number in range(6):

        @app.workflow(f"w{number}")
        def takes_none(ctx: SyncContext) -> str:
            return "done"

    async with Harness(app) as h:
        runs = [
            await h.submit("w0", "x"), await h.submit("w0", "x"), await h.submit("w1"),
            await h.submit("nightly", "x", version=1), await h.submit("nightly", "x"),
        ]  # fmt: skip
        assert told() == ["w0", "nightly"]
        assert [await h.result(run) for run in runs] == ["done", "done", "done", "done", "x"]
        await h.client.submit_many([("w1", None), ("w1", "x")])
        await h.client.groups.submit("g", {"a": ("w2", "x")})
        await h.client.schedules.put("s", "w3", cron="0 3 * * *", payload="x")
        await h.signal("r", "go", start=RunSpec("w4", "x"))
        app.schedule("0 3 * * *", payload="x")(takes_none)
        assert told() == ["w1", "w2", "w3", "w4", "w5"]
        for _ in range(2):
            with pytest.raises(
                InvalidOption, match=r"^workflow 'w0' takes no input: nothing reads"
            ):
                await h.submit("w0", "x", strict=True)
