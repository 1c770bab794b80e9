"""`ctx.poll`: a function that is called until it has something to give."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, TypeVarTuple, Unpack, overload

from stepflow.core.backoff import ONCE
from stepflow.errors import InvalidOption, StepFailed, shown
from stepflow.kits.flow.calls.functions import named
from stepflow.kits.flow.calls.steps import StepCalls
from stepflow.kits.flow.calls.waits import WaitCalls
from stepflow.kits.flow.commands.poll import Every, Pending, PollCommand, wait_after
from stepflow.times import seconds

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


#: options with which each try is a step of its own
_OPTIONS = frozenset({"key", "queue"})


class PollOptions(TypedDict, total=False):
    """The options of `ctx.poll` that are those of the step it makes for each try."""

    key: str | None
    queue: str | None


class PollCalls(StepCalls, WaitCalls):
    """Polls."""

    @overload
    async def poll(
        self,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    async def poll(
        self,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T | Pending | None]],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], T | Pending | None],
        /,
        *args: *Ts,
        every: Every,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    def poll(  # type: ignore[misc]  # as Context.step
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        every: Every,
        timeout: float | timedelta | None = None,
        max_errors: int = 3,
        **kwargs: Any,
    ) -> Any:
        """
        Call a function until it returns something other than None or Pending, and return that.

        Return None after *timeout*, which also stops a call in progress. Between calls the run
        waits for *every*, without occupying a worker: seconds, a timedelta, or a function of the
        number of the try, from 1. The function may return `Pending(delay=60)` to wait for
        something else. Each try is recorded in one entry. Raises StepFailed for the *max_errors*-th
        failure in a row, with 0 for the first.
        """
        if not callable(every):
            wait_after(every, 1)
        ends_s = None if timeout is None else seconds(timeout, "timeout of ctx.poll")
        if isinstance(max_errors, bool) or not isinstance(max_errors, int) or max_errors < 0:
            msg = f"max_errors of ctx.poll is {shown(max_errors)}; it is a whole number from 0"
            raise InvalidOption(msg)
        most = max(1, max_errors)

        def attempt() -> asyncio.Future[Any]:
            found: asyncio.Future[Any] = self.step(name, *args, retry=ONCE, **kwargs)
            return found

        def begin() -> PollCommand | None:
            if not _OPTIONS.isdisjoint(kwargs):
                return None
            step, function, rest = named(name, args, "ctx.poll")
            options = (None, ONCE, None, None, None)
            command = self._make_step(PollCommand, step, function, rest, kwargs, *options)
            if isinstance(command, asyncio.Future):  # declared for another queue
                return None
            command.expect(every, most)
            self._activation.start(command)
            return command

        given = carry_poll(self, begin, attempt, every, ends_s, most)
        self._activation.give_out(given)
        return given


async def carry_poll(
    ctx: WaitCalls,
    begin: Callable[[], PollCommand | None],
    attempt: Callable[[], Awaitable[Any]],
    every: Every,
    timeout_s: float | None,
    max_errors: int,
) -> Any:
    """
    Try until something other than None and Pending comes; see `Context.poll`.

    *begin* begins a poll that is one command; where it gives none, each try is an *attempt*.
    """
    over = None if timeout_s is None else asyncio.ensure_future(ctx.sleep(timeout_s))
    try:
        command = begin()
        trying = asyncio.ensure_future(attempt()) if command is None else command.future
        return await _poll(ctx, trying, command, attempt, every, over, max_errors)
    finally:
        if over is not None:
            over.cancel()


async def _poll(
    ctx: WaitCalls,
    trying: asyncio.Future[Any],
    command: PollCommand | None,
    attempt: Callable[[], Awaitable[Any]],
    every: Every,
    over: asyncio.Future[None] | None,
    max_errors: int,
) -> Any:
    """Go on from a first try: by itself, where that was the whole poll; else from try to try."""
    number = 1
    errors = 0
    while True:
        if not await _before(over, trying):
            return None
        try:
            found = trying.result()
        except StepFailed:
            errors += 1 if command is None else command.errors + 1
            if errors >= max_errors:
                raise
            found = None
        else:
            errors = 0
            if found is not None and not isinstance(found, Pending):
                return found
        delay = found.delay if isinstance(found, Pending) else None
        if not await _before(
            over, ctx.sleep(wait_after(every, number) if delay is None else delay)
        ):
            return None
        number, command = number + 1, None
        trying = asyncio.ensure_future(attempt())


async def _before(over: asyncio.Future[None] | None, waited: asyncio.Future[Any]) -> bool:
    """Wait for *waited*, and cancel it should the time be *over* before; False for that."""
    try:
        await asyncio.wait(
            {waited} if over is None else {waited, over}, return_when=asyncio.FIRST_COMPLETED
        )
        return waited.done()
    finally:
        waited.cancel()
