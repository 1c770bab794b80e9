"""`ctx.poll`: a step and a sleep, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypedDict, TypeVar, TypeVarTuple, Unpack, overload

from stepflow.errors import InvalidOption, StepFailed, shown
from stepflow.kits.flow.calls.steps import ONCE, StepCalls
from stepflow.kits.flow.calls.waits import WaitCalls
from stepflow.times import seconds

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PollOptions(TypedDict, total=False):
    """The options of `ctx.poll` that are those of the step it makes for each try."""

    key: str | None
    queue: str | None


class PollCalls(StepCalls, WaitCalls):
    """Polls."""

    @overload
    async def poll(
        self,
        function: Callable[[*Ts], Awaitable[T | None]],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        function: Callable[[*Ts], Awaitable[T | None]],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    async def poll(
        self,
        function: Callable[[*Ts], T | None],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        function: Callable[[*Ts], T | None],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T | None]],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], Awaitable[T | None]],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], T | None],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: None = None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T: ...
    @overload
    async def poll(
        self,
        name: str,
        function: Callable[[*Ts], T | None],
        /,
        *args: *Ts,
        every: float | timedelta,
        timeout: float | timedelta | None,
        max_errors: int = 3,
        **options: Unpack[PollOptions],
    ) -> T | None: ...
    def poll(  # type: ignore[misc]  # as Context.step
        self,
        name: str | Callable[..., Any],
        /,
        *args: Any,
        every: float | timedelta,
        timeout: float | timedelta | None = None,
        max_errors: int = 3,
        **kwargs: Any,
    ) -> Any:
        """
        Call a function as a step until it returns something other than None, and return that.

        Return None after *timeout*, which also stops a call in progress. Between calls the run
        waits for *every*, without occupying a worker. Both are seconds or a timedelta. Raises
        StepFailed for the *max_errors*-th failure in a row.
        """
        every_s = seconds(every, "every of ctx.poll")
        ends_s = None if timeout is None else seconds(timeout, "timeout of ctx.poll")
        if isinstance(max_errors, bool) or not isinstance(max_errors, int) or max_errors < 1:
            msg = f"max_errors of ctx.poll is {shown(max_errors)}; it is a whole number from 1"
            raise InvalidOption(msg)

        def attempt() -> asyncio.Future[Any]:
            found: asyncio.Future[Any] = self.step(name, *args, retry=ONCE, **kwargs)
            return found

        given = carry_poll(self, attempt, every_s, ends_s, max_errors)
        self._activation.give_out(given)
        return given


async def carry_poll(
    ctx: WaitCalls,
    attempt: Callable[[], Awaitable[Any]],
    every_s: float,
    timeout_s: float | None,
    max_errors: int,
) -> Any:
    """Try until *attempt* returns something other than None; see `Context.poll`."""
    over = None if timeout_s is None else asyncio.ensure_future(ctx.sleep(timeout_s))
    try:
        return await _poll(ctx, attempt, every_s, over, max_errors)
    finally:
        if over is not None:
            over.cancel()


async def _poll(
    ctx: WaitCalls,
    attempt: Callable[[], Awaitable[Any]],
    every_s: float,
    over: asyncio.Future[None] | None,
    max_errors: int,
) -> Any:
    errors = 0
    while True:
        trying = asyncio.ensure_future(attempt())
        if not await _before(over, trying):
            return None
        try:
            found = trying.result()
        except StepFailed:
            errors += 1
            if errors >= max_errors:
                raise
        else:
            errors = 0
            if found is not None:
                return found
        if not await _before(over, ctx.sleep(every_s)):
            return None


async def _before(over: asyncio.Future[None] | None, waited: asyncio.Future[Any]) -> bool:
    """Wait for *waited*, and cancel it should the time be *over* before; False for that."""
    try:
        await asyncio.wait(
            {waited} if over is None else {waited, over}, return_when=asyncio.FIRST_COMPLETED
        )
        return waited.done()
    finally:
        waited.cancel()
