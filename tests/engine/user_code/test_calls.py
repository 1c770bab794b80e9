"""[B2] [B3] [B4] [B5] [B7] What may leave user code, by every way in which user code is called."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable
from typing import Annotated, Any
from unittest.mock import AsyncMock, Mock

import pytest
from pydantic import AfterValidator

from stepflow import PermanentError, RetryPolicy, RunState, Step, Stepflow, Succeed, TransientError
from stepflow.engine.user_code.calls import call, error_info, is_async, raised, settled
from stepflow.worker.threads import Threads
from tests.support import until

TWICE = RetryPolicy(max_attempts=2, initial=0.01, jitter=False)


class PanicError(BaseException):
    """What a native extension raises."""


class BrokenError(Exception):
    def __str__(self) -> str:
        raise SystemExit(1)


async def cancels_itself() -> None:
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


def leave_by(name: str) -> Any:
    """Leave by what is called so."""
    made: dict[str, Callable[[], BaseException]] = {
        "ValueError": ValueError,
        "SystemExit": lambda: SystemExit(0),
        "KeyboardInterrupt": KeyboardInterrupt,
        "GeneratorExit": GeneratorExit,
        "CancelledError": asyncio.CancelledError,
        "PanicError": PanicError,
        "BrokenError": BrokenError,
        "BaseExceptionGroup": lambda: BaseExceptionGroup(
            "two", [KeyboardInterrupt(), ValueError("v")]
        ),
        "ExceptionGroup": lambda: ExceptionGroup(
            "two", [ExceptionGroup("one", [KeyError("k")]), ValueError("v")]
        ),
    }
    error = made[name]()
    raise error


#: a type whose validator leaves by the name it is given
Odd = Annotated[str, AfterValidator(leave_by)]

LEAVES = (
    "ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "CancelledError",
    "PanicError", "BrokenError", "BaseExceptionGroup", "ExceptionGroup",
)  # fmt: skip


@pytest.fixture
def fine(app: Stepflow) -> Stepflow:
    @app.runner("fine")
    async def fine(step: Step[Any]) -> Succeed:
        return Succeed("alive")

    return app


async def ends_of(aclient: Any, runner: str, leaves: tuple[str, ...] = LEAVES) -> dict[str, Any]:
    """Run *runner* once for each of *leaves*, beside a run that must not be hurt."""
    runs = {name: await aclient.submit(runner, name) for name in leaves}
    ends = {name: await run.wait(60) for name, run in runs.items()}
    assert await (await aclient.submit("fine")).result(60) == "alive"
    return ends


def runner_of(kind: str, app: Stepflow, calls: list[str]) -> None:
    """Register "leaves" as what *kind* says; it leaves by the name that it is given."""

    def plain(name: str) -> None:
        calls.append(name)
        leave_by(name)

    async def coroutine(name: str) -> None:
        plain(name)

    match kind:
        case "runner":
            app.register("leaves", lambda step: plain(step.payload), retry=TWICE)
        case "async runner":
            app.register(
                "leaves", functools.partial(lambda step: coroutine(step.payload)), retry=TWICE
            )
        case "job":
            app.job(name="leaves", retry=TWICE)(plain)
        case "async job":
            app.job(name="leaves", retry=TWICE)(coroutine)


@pytest.mark.parametrize("kind", ["runner", "async runner"])
async def test_whatever_leaves_a_runner_is_an_error_of_that_attempt(fine, aclient, working, kind):
    calls: list[str] = []
    runner_of(kind, fine, calls)
    async with working(fine):
        ends = await ends_of(aclient, "leaves")
    assert {
        name: (end.state, end.error.type, end.attempt, end.crashes) for name, end in ends.items()
    } == {name: (RunState.FAILED, name, 2, 0) for name in LEAVES}
    assert sorted(calls) == sorted(LEAVES * 2)


@pytest.mark.parametrize("kind", ["job", "async job"])
async def test_whatever_leaves_a_job_is_an_error_of_that_attempt(fine, aclient, working, kind):
    calls: list[str] = []
    runner_of(kind, fine, calls)
    async with working(fine):
        runs = {name: await aclient.submit("leaves", {"name": name}) for name in LEAVES}
        ends = {name: await run.wait(60) for name, run in runs.items()}
    assert {name: (end.state, end.error.type, end.attempt) for name, end in ends.items()} == {
        name: (RunState.FAILED, name, 2) for name in LEAVES
    }


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("way", ["step", "poll"])
async def test_whatever_leaves_a_step_of_a_workflow_is_an_error_of_that_attempt(
    fine, aclient, working, is_plain, way
):
    calls: list[str] = []

    def plain(name):
        calls.append(name)
        leave_by(name)

    async def coroutine(name):
        plain(name)

    @fine.workflow("leaves")
    async def leaves(ctx, name):
        function = plain if is_plain else coroutine
        if way == "step":
            await ctx.step(function, name, retry=TWICE)
        else:
            await ctx.poll(function, name, every=0.01, max_errors=2)

    async with working(fine):
        ends = await ends_of(aclient, "leaves")
    assert {name: (end.state, end.error.type) for name, end in ends.items()} == dict.fromkeys(
        LEAVES, (RunState.FAILED, "StepFailed")
    )
    assert all(f"({name})" in end.error.message for name, end in ends.items())
    assert sorted(calls) == sorted(LEAVES * 2)


async def test_a_step_that_cancels_its_own_task_has_failed(fine, aclient, working):
    fine.register("runner", lambda step: cancels_itself(), retry=TWICE)

    @fine.workflow("flow")
    async def flow(ctx):
        await ctx.step(cancels_itself, retry=TWICE)

    async with working(fine):
        for name in ("runner", "flow"):
            end = await (await aclient.submit(name)).wait(60)
            assert (end.state, end.crashes) == (RunState.FAILED, 0)
            assert "CancelledError" in f"{end.error.type} {end.error.message}"
        assert await (await aclient.submit("fine")).result(60) == "alive"


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_whatever_leaves_a_compensation_is_recorded_and_the_others_still_run(
    fine, aclient, working, is_plain
):
    undone: list[str] = []

    def plain(name):
        leave_by(name)

    async def coroutine(name):
        plain(name)

    @fine.workflow("leaves", retry=RetryPolicy(max_attempts=1))
    async def leaves(ctx, name):
        await ctx.step("first", str, name, compensate=undone.append)
        await ctx.step("second", str, name, compensate=plain if is_plain else coroutine)
        raise LookupError("the reason")

    async with working(fine):
        ends = await ends_of(aclient, "leaves")
    assert {
        name: (end.state, end.error.type, [e.type for e in end.compensation_errors])
        for name, end in ends.items()
    } == {name: (RunState.FAILED, "LookupError", [name]) for name in LEAVES}
    assert sorted(undone) == sorted(LEAVES)


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_whatever_leaves_a_workflow_itself_fails_its_run_alone(
    fine, aclient, working, is_plain
):
    if is_plain:
        fine.workflow("leaves")(lambda ctx, name: leave_by(name))
    else:

        @fine.workflow("leaves")
        async def leaves(ctx, name):
            leave_by(name)

    async with working(fine):
        ends = await ends_of(aclient, "leaves")
    own = {"CancelledError": "Cancelled"}
    assert {name: (end.state, end.error.type) for name, end in ends.items()} == {
        name: (RunState.FAILED, own.get(name, name)) for name in LEAVES
    }


async def test_whatever_leaves_a_branch_of_a_workflow_reaches_the_workflow(fine, aclient, working):
    @fine.workflow("leaves")
    async def leaves(ctx, name):
        async def branch():
            leave_by(name)

        try:
            await asyncio.gather(branch(), ctx.step("other", str, "x"))
        except BaseException as error:  # noqa: BLE001  what is tested
            return type(error).__name__

    async with working(fine):
        ends = await ends_of(aclient, "leaves")
    assert {name: end.result for name, end in ends.items()} == {name: name for name in LEAVES}


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
async def test_whatever_leaves_a_hook_means_another_try_and_dead_in_the_end(
    fine, aclient, working, is_plain
):
    def plain(outcome):
        leave_by(outcome.headers.get("leave", "ValueError"))

    async def coroutine(outcome):
        plain(outcome)

    fine.on_terminal(plain if is_plain else coroutine)

    def twice(tries: int, spread: float, asked: float | None) -> float | None:
        return 0.01 if tries < 2 else None

    async with working(fine, next_wait=twice):
        for name in LEAVES:
            await (await aclient.submit("fine", run_id=name, headers={"leave": name})).wait(60)

        async def dead():
            hooks = [hook for name in LEAVES for hook in await aclient.hooks(name)]
            return [
                (hook.run_id, hook.tries, hook.problem.partition(":")[0])
                for hook in hooks
                if hook.state == "dead"
            ]

        expected = [(name, 2, name) for name in LEAVES]
        await until(lambda: _is(dead, expected), "the hooks are not all dead")


async def _is(read: Callable[[], Any], expected: object) -> bool:
    return await read() == expected


async def test_what_leaves_a_validator_is_an_error_of_the_run_that_it_reads_for(
    fine, aclient, working
):
    @fine.runner("leaves", retry=TWICE)
    async def leaves(step: Step[Odd]):
        return Succeed()

    async def named(name: str) -> Odd:
        return name

    @fine.workflow("reads")
    async def reads(ctx, name):
        await ctx.step(named, name)

    async with working(fine):
        for runner in ("leaves", "reads"):
            ends = await ends_of(
                aclient, runner, ("SystemExit", "KeyboardInterrupt", "PanicError", "CancelledError")
            )
            assert {end.state for end in ends.values()} == {RunState.FAILED}


async def test_a_value_whose_packing_raises_fails_the_run_and_does_not_begin_again_for_ever(
    fine, aclient, working
):
    calls: list[str] = []

    class Unpackable(dict):
        def __init__(self, name):
            self.name = name

        def items(self):
            leave_by(self.name)

        keys = __iter__ = items

    @fine.runner("result")
    async def result(step):
        calls.append(step.payload)
        return Succeed(Unpackable(step.payload))

    @fine.workflow("value")
    async def value(ctx, name):
        calls.append(name)
        await ctx.step(Unpackable, name, retry=RetryPolicy(max_attempts=1))

    leaves = ("SystemExit", "PanicError", "ValueError")
    async with working(fine):
        for runner in ("result", "value"):
            calls.clear()
            ends = await ends_of(aclient, runner, leaves)
            assert {end.state for end in ends.values()} == {RunState.FAILED}


def test_the_class_of_an_error_may_have_any_name_and_none():
    class Nameless(type):
        @property
        def __name__(cls):
            raise SystemExit

    named = [type(name, (Exception,), {}) for name in ("A|B\n", "A" * 100_000)]
    odd = Nameless("Odd", (Exception,), {})
    infos = [error_info(each("x")) for each in (*named, odd)]
    assert [info.type for info in infos] == ["A|B\n", "A" * 200, "UnnamedError"]
    assert [info.message for info in infos] == ["x"] * 3


# groups


@pytest.mark.parametrize(
    ("leaves", "retryable", "wait_s"),
    [
        ([TransientError("a"), PermanentError("b")], False, None),
        (
            [TransientError("a", retry_after=3), TransientError("b", retry_after=7), ValueError()],
            True,
            7.0,
        ),
        (
            [ExceptionGroup("in", [PermanentError("deep")]), TransientError("a", retry_after=2)],
            False,
            2.0,
        ),
        ([ValueError(), KeyError()], True, None),
    ],
)
def test_the_strictest_verdict_of_a_group_counts_and_its_longest_wait(leaves, retryable, wait_s):
    verdict = raised(ExceptionGroup("g", leaves), RetryPolicy())
    assert (verdict.retryable, verdict.retry_after_s, verdict.error.type) == (
        retryable,
        wait_s,
        "ExceptionGroup",
    )


def test_retry_on_and_give_up_on_look_into_groups():
    group = ExceptionGroup("g", [TimeoutError("slow"), ConnectionError("gone")])
    mixed = ExceptionGroup("g", [TimeoutError("slow"), ValueError("no")])
    only = RetryPolicy(retry_on=(TimeoutError, ConnectionError))
    assert raised(group, only).retryable
    assert not raised(mixed, only).retryable
    assert not raised(mixed, RetryPolicy(give_up_on=("ValueError",))).retryable
    assert raised(mixed, RetryPolicy(retry_on=(ExceptionGroup,))).retryable
    assert not raised(mixed, RetryPolicy(give_up_on=(ExceptionGroup,))).retryable


def test_the_message_of_a_group_names_its_leaves():
    group = ExceptionGroup(
        "g",
        [ExceptionGroup("h", [PermanentError("no such card")]), *[ValueError(n) for n in range(9)]],
    )
    message = error_info(group).message
    assert message.startswith("g: PermanentError: no such card; ValueError: 0; ")
    assert message.endswith("; and 5 more")


async def test_a_permanent_error_in_a_task_group_of_a_step_is_not_tried_again(
    fine, aclient, working
):
    calls: list[int] = []

    async def fails():
        calls.append(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            group.create_task(raises())

    async def raises():
        raise PermanentError("no such card")

    fine.register("runner", lambda step: fails(), retry=TWICE)

    @fine.workflow("flow")
    async def flow(ctx):
        await ctx.step(fails, retry=TWICE)

    async with working(fine):
        for runner in ("runner", "flow"):
            end = await (await aclient.submit(runner)).wait(60)
            assert (end.state, len(calls)) == (RunState.FAILED, 1)
            assert "PermanentError: no such card" in end.error.message
            calls.clear()


@pytest.mark.parametrize("asked", [float("nan"), float("inf"), -1, "soon", None, True, 10**400])
def test_an_odd_retry_after_is_no_other_error(asked):
    error = TransientError("later")
    error.retry_after = asked
    wait_s = raised(error, RetryPolicy()).retry_after_s
    assert wait_s is None or 0 < wait_s <= 1e10


# what is called


class CallsAsync:
    def func(self):
        raise AssertionError

    async def __call__(self, *args):
        return "async"


class CallsPlain:
    async def func(self):
        raise AssertionError

    def __call__(self, *args):
        return "plain"


async def coroutine_function(*args):
    return "function"


def handed_on(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@pytest.mark.parametrize(
    ("function", "says", "gives"),
    [
        (CallsAsync(), True, "async"),
        (CallsPlain(), False, "plain"),
        (functools.partial(functools.partial(CallsAsync())), True, "async"),
        (functools.partial(CallsPlain()), False, "plain"),
        (CallsAsync().__call__, True, "async"),
        (handed_on(coroutine_function), False, "function"),
        (AsyncMock(return_value="mock"), True, "mock"),
        (Mock(return_value="mock"), False, "mock"),
        (lambda *args: coroutine_function(), False, "function"),
        (str, False, ""),
    ],
)
async def test_how_a_function_is_called_is_decided_by_what_a_call_of_it_runs(function, says, gives):
    assert is_async(function) is says
    assert await call(function, (), {}, Threads()) == gives


async def test_a_mock_can_be_a_runner_a_step_and_an_answer(fine, aclient, working):
    fine.register("mock", Mock(return_value=Succeed("mocked")))
    fine.register("async-mock", AsyncMock(return_value=Succeed("mocked")))
    step = Mock(return_value="value")
    step.__name__ = "step"

    @fine.workflow("flow")
    async def flow(ctx):
        return await ctx.step("mocked", step, 1)

    async with working(fine):
        assert await (await aclient.submit("mock")).result(60) == "mocked"
        assert await (await aclient.submit("async-mock")).result(60) == "mocked"
        assert await (await aclient.submit("flow")).result(60) == "value"
    step.assert_called_once_with(1)


async def test_what_gives_awaitables_for_ever_is_stopped():
    async def endless():
        return endless()

    with pytest.raises(PermanentError, match="awaitables in a row"):
        await settled(endless())


async def test_an_exit_out_of_a_function_is_no_exit_of_the_loop():
    for function in (sys.exit, functools.partial(sys.exit, "no")):
        with pytest.raises(Exception, match="SystemExit") as caught:
            await call(function, (), {}, Threads())
        assert error_info(caught.value).type == "SystemExit"
