"""
A keeper holds one context manager open in a task of its own, or in a thread of its own.

Code that is entered and left in the same task may use task groups and cancel scopes across its
`yield`; code that hangs can be left behind, which neither a timeout nor a cancel promises.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from typing import Any

from stepflow.engine.user_code.calls import EscapedError, error_info

log = logging.getLogger("stepflow.worker")

#: seconds that a resource has to end once it was cancelled
CANCELLED_S = 0.5


class Keeper:
    """Keeps the resource *name* open from `open` to `close`; both are called once, on one loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        #: whether it is being torn down
        self.is_closing = False
        self._loop = asyncio.get_running_loop()
        self._ready: asyncio.Future[Any] = self._loop.create_future()
        self._ready.add_done_callback(_seen)
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._leave: Callable[[], None] = _nothing
        self._cancel: Callable[[], object] = _nothing
        #: what is thrown in where it yields
        self._thrown: BaseException | None = None
        #: what tearing it down has raised
        self._fault: BaseException | None = None

    async def open(self, make: Callable[[], Any], limit_s: float) -> Any:
        """
        Enter what *make* gives, and give its value.

        Raises what it raises, as an EscapedError where that is no Exception, and TimeoutError when
        it takes longer than *limit_s* seconds.
        """
        try:
            manager = make()
        except BaseException as error:
            self._end(error)
            if isinstance(error, Exception):
                raise
            raise EscapedError(error) from error
        if hasattr(manager, "__aenter__"):
            self._begin_task(manager)
        else:
            self._begin_thread(manager)
        await asyncio.wait({self._ready}, timeout=limit_s)
        if not self._ready.done():
            self.let_go()
            raise TimeoutError(f"resource {self.name!r} was not set up within {limit_s:g} s")
        return self._ready.result()

    async def close(self, limit_s: float, error: BaseException | None = None) -> None:
        """
        Leave it, with *error* thrown in where it yields, if any.

        What it raises is logged. One that takes longer than *limit_s* seconds is cancelled, then
        left behind.
        """
        self.is_closing, self._thrown = True, error
        trace = None if error is None else error.__traceback__
        if not self._ready.done():
            limit_s = CANCELLED_S
        self.let_go()
        await asyncio.wait({self._ended}, timeout=limit_s)
        if not self._ended.done():
            self._cancel()
            await asyncio.wait({self._ended}, timeout=CANCELLED_S)
            log.error(
                "resource %r was not torn down within %g s; left as it is", self.name, limit_s
            )
        elif self._fault is not None:
            info = error_info(self._fault)
            log.error(
                "resource %r was not torn down: %s\n%s", self.name, info.summary,
                info.traceback.rstrip(),
            )  # fmt: skip
        self.is_closing = False
        if error is not None:  # where it was thrown in is no place of its own
            error.with_traceback(trace)

    def let_go(self) -> None:
        """Have it end, waiting for nothing."""
        self._leave()
        if not self._ready.done():
            self._cancel()

    def _begin_task(self, manager: Any) -> None:
        closing = asyncio.Event()

        async def keep() -> None:
            error: BaseException | None = None
            try:
                async with manager as value:
                    self._enter(value)
                    await closing.wait()
                    self._throw()
            except BaseException as caught:  # noqa: BLE001  SystemExit in a task would end the loop
                error = caught
            self._end(error)

        task = self._loop.create_task(keep(), name=f"resource {self.name}")
        self._leave, self._cancel = closing.set, task.cancel

    def _begin_thread(self, manager: Any) -> None:
        closing = threading.Event()

        def keep() -> None:
            error: BaseException | None = None
            try:
                with manager as value:
                    self._tell(self._enter, value)
                    closing.wait()
                    self._throw()
            except BaseException as caught:  # noqa: BLE001  told to whoever waits
                error = caught
            self._tell(self._end, error)

        self._leave = closing.set
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(keep,), name=f"stepflow-resource {self.name}", daemon=True
        ).start()

    def _tell(self, function: Callable[[Any], None], told: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, told)
        except RuntimeError:  # the loop is closed: the worker has left, nobody waits
            return

    def _enter(self, value: Any) -> None:
        if not self._ready.done():
            self._ready.set_result(value)

    def _throw(self) -> None:
        if self._thrown is not None:
            raise self._thrown

    def _end(self, error: BaseException | None) -> None:
        if not self._ready.done():
            self._ready.set_exception(_carried(error))
        elif error is not self._thrown:
            self._fault = error
        if not self._ended.done():
            self._ended.set_result(None)


def _carried(error: BaseException | None) -> BaseException:
    """Give *error* as a future can hold it; None where the manager swallowed what ended it."""
    if error is None:
        return RuntimeError("it ended before it was set up")
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return EscapedError(error)


def _seen(done: asyncio.Future[Any]) -> None:
    """Look at an error that nobody may wait for any more."""
    if not done.cancelled():
        done.exception()


def _nothing() -> None:
    """Do nothing."""
