"""The child processes of one worker: some that are warm, each with one call at a time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import threading
from contextlib import suppress
from multiprocessing.process import BaseProcess
from typing import Any
from weakref import WeakKeyDictionary

from stepflow.engine.user_code.processes.child import serve
from stepflow.engine.user_code.processes.messages import HEAD, frame
from stepflow.errors import ProcessDied
from stepflow.value_settings import ProcessSettings

#: a fork of a small server is faster than a new interpreter, and has no threads of the worker
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
#: what the server has loaded before it forks; none of your modules, for these may begin threads
_PRELOADED = ["stepflow.engine.user_code.processes.child"]
#: seconds to wait until a process that has closed its link has ended, to say how
_ENDS_S = 5.0


class Child:
    """One process, and the link to it."""

    def __init__(
        self,
        process: BaseProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.calls = 0

    @classmethod
    async def start(cls, memory_bytes: int) -> Child:
        """Start a process; it imports a function when it is first called."""
        ours, theirs = socket.socketpair()
        context: Any = multiprocessing.get_context(_METHOD)
        context.set_forkserver_preload(_PRELOADED)
        process: BaseProcess = context.Process(
            target=serve, args=(theirs, memory_bytes), name="stepflow-child", daemon=True
        )
        try:
            await asyncio.to_thread(process.start)
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, reader, writer)

    async def ask(self, name: str, call: bytes) -> bytes:
        """Have a call carried out, and give the answer; raises ProcessDied for *name*."""
        self.calls += 1
        try:
            self._writer.write(frame(call))
            await self._writer.drain()
            head = await self._reader.readexactly(HEAD)
            return await self._reader.readexactly(int.from_bytes(head, "big"))
        except (OSError, asyncio.IncompleteReadError):
            raise ProcessDied(name, await asyncio.to_thread(self._how_it_ended)) from None

    def is_alive(self) -> bool:
        """Say whether it may be asked: it may have been killed while it waited."""
        return self._process.is_alive() and not self._reader.at_eof()

    def kill(self) -> None:
        """End the process at once, whatever it is doing; safe to repeat."""
        self._writer.transport.abort()
        with suppress(ValueError):  # it is reaped already
            self._process.kill()
            threading.Thread(target=_reap, args=(self._process,), daemon=True).start()

    def _how_it_ended(self) -> str:
        self._process.join(_ENDS_S)
        code = self._process.exitcode
        if code is None:
            return "it closed its link"
        if code >= 0:
            return f"it ended with exit code {code}"
        why = "; it may have run out of memory" if -code == signal.SIGKILL else ""
        return f"it was ended by {_signal_name(-code)}{why}"


class Pool:
    """The child processes of one loop."""

    def __init__(self, settings: ProcessSettings) -> None:
        self._settings = settings
        self._room = asyncio.Semaphore(settings.most or os.cpu_count() or 1)
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    async def call(self, name: str, call: bytes) -> bytes:
        """
        Have a call carried out in a process of its own, once there is room.

        A caller that is cancelled has the process killed. Raises ProcessDied.
        """
        async with self._room:
            child = self._waiting() or await self._start()
            try:
                answer = await child.ask(name, call)
            except BaseException:
                self._end(child)
                raise
            if child.calls >= self._settings.calls:
                self._end(child)
            else:
                self._idle.append(child)
            return answer

    def close(self) -> None:
        """Kill all processes."""
        for child in list(self._all):
            self._end(child)
        self._idle.clear()

    def _waiting(self) -> Child | None:
        """Take a process that waits, and end those that are dead."""
        while self._idle:
            child = self._idle.pop()
            if child.is_alive():
                return child
            self._end(child)
        return None

    async def _start(self) -> Child:
        child = await Child.start(self._settings.memory_bytes)
        self._all.add(child)
        return child

    def _end(self, child: Child) -> None:
        self._all.discard(child)
        child.kill()


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


def pool_of(settings: ProcessSettings) -> Pool:
    """Give the pool of the running loop, made on first use."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = Pool(settings)
    return pool


async def end_processes() -> None:
    """Kill the processes of the running loop, if there are any."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        pool.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _reap(process: BaseProcess) -> None:
    with suppress(ValueError):
        process.join()
        process.close()
