"""Streams of `stepflow web` by the thousand, and cut while they go on."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis

import stepflow
from stepflow import Stepflow, Succeed
from tests.support import until

#: a server process that talks to thousands of sockets
pytestmark = pytest.mark.crash

ITEMS = 10_000
#: seconds of Redis's own clock that its commands are counted
WINDOW_S = 4


class Socket:
    """A reader of a stream, over a socket of its own."""

    def __init__(self, port: int, path: str, last: str = "") -> None:
        self._port = port
        self._head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {last}\r\n\r\n"

    async def __aenter__(self) -> asyncio.StreamReader:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(self._head.encode())
        return reader

    async def __aexit__(self, *exc: object) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


async def events_of(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, str, dict]]:
    """Give the events of a stream as they come, until it ends or is cut."""
    said = {}
    with suppress(asyncio.IncompleteReadError):
        while True:
            line = (await reader.readuntil(b"\n")).decode().rstrip()
            name, _, value = line.partition(": ")
            if name in {"event", "id"}:
                said[name] = value
            elif name == "data":
                yield said.get("event", ""), said.get("id", ""), json.loads(value)
                said = {}


@pytest.fixture
def program(serve) -> tuple[int, Callable[[], int]]:
    """A server: its port, and what says how much memory it has, in bytes."""
    process = serve()
    port = int(process.stdout.readline().split()[3].rstrip(":").rpartition(":")[2])

    def memory() -> int:
        pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    return port, memory


def counting(app: Stepflow, items: int, size: int = 0) -> None:
    @app.runner("counts")
    async def counts(step):
        for number in range(items):
            said = stepflow.emit([number, "x" * size])
            if number % 100 == 99:
                await said
        return Succeed(None)


async def test_a_stream_that_is_cut_while_it_goes_on_misses_nothing(app, aclient, working, program):
    """[E15] [O20] Ten thousand items; cut within an event, many times a second."""
    port, _ = program
    counting(app, ITEMS)
    dice, seen, last, cuts, is_over = random.Random(5), [], "", 0, False
    async with working(app):
        await aclient.submit("counts", run_id="c-1")
        while not is_over:
            async with Socket(port, "/runs/c-1/output", last) as reader:
                left = dice.randrange(1, 400)
                async for kind, event_id, data in events_of(reader):
                    assert kind in {"output", "end"}
                    last, is_over = event_id, kind == "end"
                    seen += [] if is_over else [data["data"][0]]
                    left -= 1
                    if is_over or not left:
                        break
            cuts += 1
    assert seen == list(range(ITEMS))
    assert cuts > 20


async def test_a_thousand_idle_streams_of_one_run_cost_redis_ten_commands_a_second(
    client, real: redis.Redis, program
):
    """[O20] The looks of all are one look a second, and the server's own upkeep."""
    port, _ = program
    client.submit("says", run_id="s-1", delay=3600)
    sockets = [Socket(port, "/runs/s-1/output") for _ in range(1000)]
    try:
        readers = [await each.__aenter__() for each in sockets]
        for reader in readers:
            while await reader.readline() != b"retry: 1000\n":
                pass

        def calls() -> int:
            stats = real.info("commandstats")
            ours = ("cmdstat_info", "cmdstat_time")
            return sum(each["calls"] for name, each in stats.items() if name not in ours)

        commands, begun = await quiet(calls), real.time()[0]
        await until(lambda: real.time()[0] >= begun + WINDOW_S)
        seconds = real.time()[0] - begun + 1
        assert calls() - commands <= 10 * seconds
    finally:
        for each in sockets:
            await each.__aexit__()


async def quiet(calls: Callable[[], int]) -> int:
    """Wait until a second has no more calls than it may have, and give how many there were."""

    async def settled() -> bool:
        before = calls()
        await asyncio.sleep(1)
        return calls() - before <= 10

    await until(settled)
    return calls()


async def test_thousands_of_readers_of_an_ended_stream_take_a_bounded_memory(
    app, aclient, working, program
):
    """[E15] A server that has served a thousand has what it needs for as many again and again."""
    port, memory = program
    counting(app, 20, size=1000)
    async with working(app):
        await (await aclient.submit("counts", run_id="c-1")).wait(60)

    async def read() -> int:
        async with Socket(port, "/runs/c-1/output") as reader:
            return len([data async for _, _, data in ended(reader)])

    after: list[int] = []
    for _ in range(4):
        for _ in range(5):
            assert set(await asyncio.gather(*(read() for _ in range(200)))) == {21}
        after.append(memory())
    assert after[-1] - after[0] < 32 * 1024 * 1024


async def ended(reader: asyncio.StreamReader) -> AsyncIterator[tuple[str, str, dict]]:
    """Give the events of a stream up to its end."""
    async for event in events_of(reader):
        yield event
        if event[0] == "end":
            return


async def test_readers_that_do_not_read_take_no_memory(app, aclient, working, program):
    """[E15] The server reads on for each only as its socket takes more: 4 MiB for 100 of them."""
    port, memory = program
    counting(app, 4000, size=1000)
    async with working(app):
        await (await aclient.submit("counts", run_id="c-1")).wait(60)
    before = memory()
    sockets = [Socket(port, "/runs/c-1/output") for _ in range(100)]
    try:
        for reader in [await each.__aenter__() for each in sockets]:
            await reader.readuntil(b"event: output\n")
        assert memory() - before < 128 * 1024 * 1024
    finally:
        for each in sockets:
            await each.__aexit__()
