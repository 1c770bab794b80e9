"""
Plans: coroutines that await calls, whoever carries them out.

mypy checks this file as well (pyproject.toml), so that `assert_type` holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, assert_type, cast

import pytest

from stepflow.core.run import Run
from stepflow.store.calls import Call, Plan, batch, batch_of, command, load_hash, together
from stepflow.store.connection.async_ import AsyncCaller
from stepflow.store.connection.async_ import carry_out as carry_out_async
from stepflow.store.connection.sync import SyncCaller, carry_out
from stepflow.store.keys import Keys
from stepflow.store.query import load_queue_facts, newest, server_time
from stepflow.store.runs import load_run

T = TypeVar("T")


def say(word: str) -> Call[str]:
    """A call that answers with its own word."""
    return command("ECHO", word, read=str)


def count(word: str) -> Call[int]:
    return command("STRLEN", word, read=lambda reply: len(str(reply)))


class Echo:
    """Answers each call with what it was given, and notes the round trips."""

    def __init__(self) -> None:
        self.trips: list[list[Any]] = []

    def calls(self, calls: Sequence[Call[T]]) -> list[T]:
        self.trips.append([call.args[1] for call in calls])
        if "lost" in self.trips[-1]:
            raise OSError("the connection was lost")
        return [call.read(call.args[1]) for call in calls]


class AsyncEcho(Echo):
    """The same for the loop, which others use between a call and its answer."""

    async def call(self, call: Call[T]) -> T:
        await asyncio.sleep(0)
        return Echo.calls(self, [call])[0]

    async def calls(self, calls: Sequence[Call[T]]) -> list[T]:  # type: ignore[override]
        await asyncio.sleep(0)
        return Echo.calls(self, calls)


def run_sync(plan: Plan[T]) -> tuple[T, list[list[Any]]]:
    echo = Echo()
    return carry_out(cast("SyncCaller", echo), plan), echo.trips


def run_async(plan: Plan[T]) -> tuple[T, list[list[Any]]]:
    echo = AsyncEcho()
    return asyncio.run(carry_out_async(cast("AsyncCaller", echo), plan)), echo.trips


both_ways = pytest.mark.parametrize("run", [run_sync, run_async])
Runs = Callable[[Plan[T]], tuple[T, list[list[Any]]]]


async def greeting() -> str:
    word = assert_type(await say("hello"), str)
    one, two = assert_type(await batch(say("a"), count("bcd")), tuple[str, int])
    return f"{word} {one} {two}"


async def echo_each(*words: str) -> list[str]:
    return assert_type(await batch_of([say(word) for word in words]), list[str])


async def one_after_another(*words: str) -> str:
    return "".join([await say(word) for word in words])


async def types_of_what_is_read(keys: Keys) -> None:
    """Never carried out: it is for the type checker."""
    assert_type(await load_run(keys, "a"), Run | None)
    assert_type(await load_hash("a"), dict[bytes, bytes])
    assert_type(await newest("a", before=None, count=1), list[tuple[str, float]])
    assert_type((await load_queue_facts(keys, "q")).pending_since, float | None)
    now, rows = await batch(server_time(), load_hash("a"))
    assert_type(now, float)
    assert_type(rows, dict[bytes, bytes])


@both_ways
def test_one_body_runs_over_both_kinds_of_connection(run: Runs[str]) -> None:
    assert run(greeting()) == ("hello a 3", [["hello"], ["a", "bcd"]])


@both_ways
def test_a_batch_of_no_calls_makes_no_round_trip(run: Runs[list[str]]) -> None:
    assert run(echo_each()) == ([], [])


@both_ways
def test_plans_side_by_side_share_their_round_trips(run: Runs[list[str]]) -> None:
    plans = [one_after_another(*words) for words in ("ab", "", "cde")]
    assert run(together(plans)) == (["ab", "", "cde"], [["a", "c"], ["b", "d"], ["e"]])


@both_ways
def test_an_error_of_the_connection_is_raised_where_the_plan_awaits(run: Runs[str]) -> None:
    async def recovers() -> str:
        try:
            return await say("lost")
        except OSError:
            return await say("found")

    assert run(recovers())[0] == "found"
    with pytest.raises(OSError, match="lost"):
        run(one_after_another("a", "lost"))


@both_ways
def test_an_error_in_one_plan_closes_those_beside_it(run: Runs[list[str]]) -> None:
    closed = []

    async def fails() -> str:
        await say("a")
        raise ValueError("no")

    async def is_closed() -> str:
        try:
            return await one_after_another("a", "b", "c")
        finally:
            closed.append(True)

    with pytest.raises(ValueError, match="no"):
        run(together([is_closed(), fails(), one_after_another("x")]))
    assert closed == [True]


@both_ways
def test_a_plan_cannot_await_what_is_the_loops(run: Runs[None]) -> None:
    async def confused() -> None:
        await asyncio.sleep(0)

    with pytest.raises(TypeError, match="awaits calls and plans only"):
        run(confused())


async def test_a_call_awaited_without_a_connection_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="bad yield"):
        await say("a")


async def test_a_plan_whose_caller_is_cancelled_is_closed() -> None:
    closed = []

    async def waits() -> str:
        try:
            return await say("a")
        finally:
            closed.append(True)

    class Silent(AsyncEcho):
        async def call(self, call: Call[T]) -> T:
            await asyncio.Event().wait()
            raise AssertionError

    task = asyncio.create_task(carry_out_async(cast("AsyncCaller", Silent()), waits()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]
