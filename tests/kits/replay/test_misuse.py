"""What workflow code may not do: the error names the call and its line."""

from __future__ import annotations

import asyncio
import inspect
import logging
import logging.handlers
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from stepflow import Context, RunFailed, Stepflow, StepflowError, SyncContext
from stepflow.settings import Settings
from stepflow.testing import Harness

HERE = Path(__file__).name


@pytest.fixture
async def h() -> AsyncIterator[Harness]:
    async with Harness(Stepflow("redis://nowhere", settings=Settings())) as h:
        yield h


async def resolve(ctx: Context) -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 1)


async def use_a_thread(ctx: Context) -> None:
    await asyncio.to_thread(len, "x")


async def fetch(ctx: Context) -> None:
    async with httpx.AsyncClient() as client:
        await client.get("http://localhost:1")


async def fetch_blocking(ctx: Context) -> None:
    httpx.get("http://localhost:1")


async def fetch_plainly(ctx: Context) -> None:
    urllib.request.urlopen("http://localhost:1")


async def block(ctx: Context) -> None:
    time.sleep(0.01)


async def connect(ctx: Context) -> None:
    socket.create_connection(("localhost", 1))


async def in_a_branch(ctx: Context) -> None:
    await asyncio.gather(ctx.wait_for_signal("x"), resolve(ctx))


async def ask_the_loop(ctx: Context) -> None:
    asyncio.get_running_loop().set_debug(True)


async def turned_into_another(ctx: Context) -> None:
    try:
        await resolve(ctx)
    except StepflowError as error:
        raise ConnectionError("no way there") from error


async def lost_and_waited_for(ctx: Context) -> None:
    answer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: time.sleep(0.01) or answer.set_result(1))
    await answer


def block_plainly(ctx: SyncContext) -> None:
    time.sleep(0.01)


def line_in(function: Any) -> int:
    """The line below the definition, or that of the innermost call of a block."""
    lines, first = inspect.getsourcelines(function)
    inner = [number for number, line in enumerate(lines) if "client.get" in line]
    return first + (inner[0] if inner else 1)


@pytest.mark.parametrize(
    ("workflow", "call", "where"),
    [
        (resolve, "the loop's getaddrinfo", resolve),
        (use_a_thread, "asyncio.to_thread", use_a_thread),
        (fetch, "httpx.AsyncClient.get", fetch),
        (fetch_blocking, "httpx.get", fetch_blocking),
        (fetch_plainly, "urllib.request.urlopen", fetch_plainly),
        (block, "time.sleep", block),
        (connect, "socket.create_connection", connect),
        (in_a_branch, "the loop's getaddrinfo", resolve),
        (turned_into_another, "the loop's getaddrinfo", resolve),
        (ask_the_loop, "the loop's set_debug", ask_the_loop),
        (block_plainly, "time.sleep", block_plainly),
    ],
)
async def test_a_call_that_no_replay_repeats_is_named_with_its_line(
    h: Harness, workflow: Any, call: str, where: Any
) -> None:
    """[U21]"""
    h.app.workflow("wrong")(workflow)
    run = await h.submit("wrong")
    with pytest.raises(RunFailed, match="NotReplayable: workflow code may not use") as failed:
        await run.result()
    assert f"may not use {call} (line {line_in(where)} of " in str(failed.value)
    assert f"{HERE}): it would not repeat itself" in str(failed.value)


async def test_what_is_refused_fails_the_run_only_if_that_leaves_the_workflow(h: Harness) -> None:
    """[G8] A library may know another way."""

    @h.app.workflow("knows")
    async def knows(ctx: Context) -> str:
        try:
            await resolve(ctx)
        except StepflowError:
            return await ctx.step("another way", str, "found")
        return "not refused"

    run = await h.submit("knows")
    assert await h.result(run) == "found"
    await h.replay(await h.history(run))


async def test_what_is_refused_where_nobody_sees_it_is_named_once_the_run_is_stuck(
    h: Harness,
) -> None:
    """[G8]"""
    h.app.workflow("lost")(lost_and_waited_for)
    run = await h.submit("lost")
    with pytest.raises(RunFailed, match=r"NotReplayable.*may not use time\.sleep"):
        await run.result()


async def test_steps_and_other_code_may_do_all_that(h: Harness) -> None:
    """[U21]"""

    def block() -> str:
        time.sleep(0.001)
        return "slept"

    async def nap() -> str:
        time.sleep(0.001)
        await asyncio.sleep(0.001)
        return "napped"

    @h.app.workflow("right")
    async def right(ctx: Context) -> list[str]:
        return [await ctx.step(block), await ctx.step(nap)]

    assert await (await h.submit("right")).result() == ["slept", "napped"]
    time.sleep(0.001)


async def test_a_line_for_the_log_may_be_sent_anywhere(h: Harness) -> None:
    """[U21] A handler may connect to wherever the lines go."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        handler = logging.handlers.SocketHandler(*server.getsockname())

        @h.app.workflow("tells")
        async def tells(ctx: Context) -> str:
            logging.getLogger("mine").warning("here")
            return "told"

        logging.getLogger("mine").addHandler(handler)
        try:
            assert await (await h.submit("tells")).result() == "told"
            server.accept()[0].close()
        finally:
            logging.getLogger("mine").removeHandler(handler)
            handler.close()


async def test_a_task_group_of_anyio_serves_branches(h: Harness) -> None:
    """[U21] It asks the loop what a loop of asyncio has to answer."""
    found: list[str] = []

    @h.app.workflow("grouped")
    async def grouped(ctx: Context) -> list[str]:
        async def branch(name: str) -> None:
            found.append(await ctx.step(name, str.upper, name))

        async with anyio.create_task_group() as group:
            group.start_soon(branch, "a")
            group.start_soon(branch, "b")
        return sorted(found)

    assert await (await h.submit("grouped")).result() == ["A", "B"]
