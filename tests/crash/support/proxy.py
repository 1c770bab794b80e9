"""
A proxy between stepflow and Redis that knows requests from replies and spoils them on command.

    with Proxy(server.socket, folder / "proxy.sock") as proxy:
        proxy.rule = often("keep_step", LOSE, seed=7)

LOSE delivers the request and cuts the connection before its reply; HALVE lets half of the reply
through; CUT cuts before the request; TWICE sends the request a second time and keeps the first
reply; SLOW holds the reply back; SWALLOW delivers the request and then passes nothing more, with
the connection left open. Requests are known by the name of their script, others by their command.

`go_silent` has the bytes of every connection there is vanish, both ways, with nobody hanging up;
new ones pass.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

from stepflow.store.scripts import all_scripts

PASS, LOSE, HALVE, CUT, TWICE, SLOW, SWALLOW = (
    "pass",
    "lose",
    "halve",
    "cut",
    "twice",
    "slow",
    "swallow",
)

Rule = Callable[[str], str]
_SCRIPTS = {script.sha.encode(): script.name for script in all_scripts()}


def often(name: str | set[str], what: str, *, seed: int, share: float = 0.3) -> Rule:
    """
    Do *what* to about that *share* of the requests of that name; by chance, for a rhythm could meet
    that of re-sending.
    """
    dice, names = random.Random(seed), {name} if isinstance(name, str) else name

    def rule(request: str) -> str:
        return what if request in names and dice.random() < share else PASS

    return rule


def end_of(data: bytes | bytearray, at: int = 0) -> int | None:
    """Find where the RESP value that begins at *at* ends; None while it is not whole."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, after = data[at : at + 1], line + 2
    if kind in b"$=!":
        length = int(data[at + 1 : line])
        end: int | None = after if length < 0 else after + length + 2
        return end if end is not None and end <= len(data) else None
    if kind in b"*~>%":
        for _ in range(max(0, int(data[at + 1 : line])) * (2 if kind == b"%" else 1)):
            end = end_of(data, after)
            if end is None:
                return None
            after = end
    return after


def _name_of(request: bytes) -> str:
    words = request.split(b"\r\n", 6)
    command = words[2].upper()
    return _SCRIPTS.get(words[4], "?") if command == b"EVALSHA" else command.decode()


async def _part(writer: asyncio.StreamWriter) -> None:
    """Close a connection hard; a parting that was cancelled half way goes on as if it were done."""
    writer.transport.abort()
    with suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


class Proxy:
    """Serves a socket of its own from a thread of its own."""

    def __init__(self, server: str, socket: Path) -> None:
        self._server = server
        self._socket = str(socket)
        self.url = f"unix://{quote(self._socket)}?db=0"
        self.rule: Rule = lambda name: PASS
        #: what was done, by request and kind
        self.done: Counter[tuple[str, str]] = Counter()
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(60)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def cut_all(self) -> None:
        """Cut every connection there is."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def go_silent(self) -> None:
        """
        Have what goes over the present connections vanish from now on; those that come later are
        not touched.
        """
        done = threading.Event()

        def mark() -> None:
            self._silent |= self._writers
            done.set()

        self._loop.call_soon_threadsafe(mark)
        done.wait(60)

    def count(self, what: str) -> int:
        """Say how often *what* was done."""
        return sum(times for (_, kind), times in self.done.items() if kind == what)

    def _abort_all(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        visits: set[asyncio.Task[None]] = set()

        def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.add(writer)
            visit = asyncio.create_task(self._visit(reader, writer))
            visits.add(visit)
            visit.add_done_callback(visits.discard)

        async with await asyncio.start_unix_server(greet, self._socket):
            self._ready.set()
            await self._over.wait()
            for visit in list(visits):
                visit.cancel()
            await asyncio.gather(*visits, return_exceptions=True)
        # whoever was cut off in the middle of parting parts here
        for writer in list(self._writers):
            await _part(writer)
        await asyncio.sleep(0)

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends, pumps, owed = [writer], [], deque[str]()
        try:
            back, forth = await asyncio.open_unix_connection(self._server)
            ends.append(forth)
            self._writers.add(forth)
            pumps.append(asyncio.create_task(self._requests(reader, forth, owed)))
            pumps.append(asyncio.create_task(self._replies(back, writer, owed)))
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            return  # the server is gone, and so is this connection
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in ends:
                await _part(end)
                self._writers.discard(end)
                self._silent.discard(end)

    async def _requests(
        self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter, owed: deque[str]
    ) -> None:
        held, is_open = bytearray(), True
        while data := await reader.read(1 << 16):
            if forth in self._silent:
                continue
            held += data
            while (end := end_of(held)) is not None:
                request = bytes(held[:end])
                del held[:end]
                name = _name_of(request)
                if name in {"SUBSCRIBE", "PSUBSCRIBE"}:
                    is_open = False
                what = self.rule(name) if is_open else PASS
                if what != PASS:
                    self.done[name, what] += 1
                if what == CUT:
                    await forth.drain()
                    while owed:
                        await asyncio.sleep(0.001)
                    return
                owed.append(what if is_open else "push")
                if what == TWICE:
                    forth.write(request)
                forth.write(request)
            await forth.drain()

    async def _replies(
        self, back: asyncio.StreamReader, writer: asyncio.StreamWriter, owed: deque[str]
    ) -> None:
        held, silent = bytearray(), False
        while data := await back.read(1 << 16):
            if writer in self._silent:
                continue
            held += data
            while (end := end_of(held)) is not None:
                reply = bytes(held[:end])
                del held[:end]
                what = owed.popleft() if owed and owed[0] != "push" else PASS
                if what == LOSE:
                    return
                if what == HALVE:
                    writer.write(reply[: len(reply) // 2])
                    with suppress(OSError):
                        await writer.drain()
                    return
                if what == TWICE:
                    owed.appendleft(PASS)
                    continue
                if what == SLOW:
                    await asyncio.sleep(0.2)
                silent = silent or what == SWALLOW
                if not silent:
                    writer.write(reply)
            await writer.drain()
