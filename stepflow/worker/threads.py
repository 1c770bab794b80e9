"""
Threads for plain functions.

They are daemons: one that never returns does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Any

from stepflow.engine.user_code.calls import EscapedError


class Threads:
    """
    Runs plain functions in threads, as many as are wanted at once; idle threads are used again.

    Not concurrent.futures: it joins its threads at exit, and a step that hangs must not keep the
    process.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        #: by the future of its function, the thread that runs it
        self._busy: dict[asyncio.Future[Any], int] = {}

    def run(
        self, function: Callable[..., Any], *args: Any, on_return: Callable[[], None] | None = None
    ) -> asyncio.Future[Any]:
        """
        Run *function* in a thread; the future has what it returned or raised.

        *on_return* is called on the loop's thread when the function has returned, even if nothing
        waits for it any more.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def settle(result: Any, error: BaseException | None) -> None:
            if on_return is not None:
                on_return()
            if future.done():
                return
            if error is None:
                future.set_result(result)
            elif isinstance(error, StopIteration | GeneratorExit):
                # awaited as they are, they would end the coroutine that awaits them
                future.set_exception(EscapedError(error))
            else:
                future.set_exception(error)

        def job() -> None:
            result, error = None, None
            self._busy[future] = threading.get_ident()
            try:
                result = context.run(function, *args)
            except BaseException as caught:  # noqa: BLE001  passed to whatever waits, as it came
                error = caught
            del self._busy[future]
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:  # the loop is closed: the worker has left, nobody waits
                return

        self._put(job)
        return future

    def thread_of(self, future: asyncio.Future[Any]) -> int | None:
        """Say which thread runs the function of *future*; None once it has returned."""
        return self._busy.get(future)

    def _put(self, job: Callable[[], None]) -> None:
        with self._lock:
            start = self._idle <= 0
            if not start:
                self._idle -= 1
        self._jobs.put(job)
        if start:
            threading.Thread(target=self._work, name="stepflow-step", daemon=True).start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            job()
            del job
            with self._lock:
                self._idle += 1
