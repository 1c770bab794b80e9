"""The value that your code shares: which breaker, and when it opens."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

from stepflow.core.breakers.permit import Permit, Verdict
from stepflow.errors import (
    CircuitOpen,
    ClaimLost,
    DataError,
    InvalidOption,
    PermanentError,
    Postponed,
    UsageError,
    shown,
)
from stepflow.logs import code
from stepflow.times import seconds

T = TypeVar("T")

#: what may name a breaker: it is part of a key, and of what a run is said to wait for
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,49}")
#: failures in a row, and trials, that may be asked for at most
MOST = 1000
#: says of an error whether it counts as a failure
Counts = type[BaseException] | tuple[type[BaseException], ...] | Callable[[BaseException], bool]
#: errors that say nothing of the service: the call itself was wrong
_NOT_COUNTED = (PermanentError, UsageError, DataError)

#: the permits of the breakers entered in this context, the innermost last
_entered: ContextVar[tuple[Permit, ...]] = ContextVar("stepflow_permits", default=())


@dataclass(frozen=True, slots=True)
class Breaker:
    """
    A circuit breaker that all workers share by its *name*.

    After *failures* in a row, whoever made the calls, it opens: no step that has it is called any
    more. *reset* (seconds or timedelta) later at most *trials* calls at once are let through; when
    that many have succeeded it closes, and one that fails opens it again.

    *counts* says which errors are failures: exception types, or a function of the exception. By
    default all are but PermanentError and errors of your own call. An error that does not count
    changes nothing.

    While it is open a step waits without occupying a worker, and no attempt is counted; with
    `when_open="raise"` it raises CircuitOpen instead.

    Use it as `ctx.step(charge, order, breaker=stripe)`, `@app.step(breaker=stripe)`, or in a runner
    or a step `async with stripe:` (in a plain function `with stripe:`) around the call.
    """

    name: str
    failures: int = 5
    reset: float | timedelta = 30.0
    trials: int = 1
    counts: Counts | None = None
    when_open: Literal["wait", "raise"] = "wait"

    def __post_init__(self) -> None:
        check_breaker_name(self.name)
        for what, number in (("failures", self.failures), ("trials", self.trials)):
            if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= MOST:
                msg = (
                    f"{what} of breaker {self.name!r} is {shown(number)}; "
                    f"it is a whole number from 1 to {MOST:,}"
                )
                raise InvalidOption(msg)
        if seconds(self.reset, f"reset of breaker {self.name!r}") <= 0:
            msg = f"reset of breaker {self.name!r} is {self.reset}; it must be above 0 seconds"
            raise InvalidOption(msg)
        if self.when_open not in ("wait", "raise"):
            msg = (
                f"when_open of breaker {self.name!r} is {shown(self.when_open)}; "
                "it is 'wait' or 'raise'"
            )
            raise InvalidOption(msg)
        _check_counts(self.name, self.counts)

    @property
    def reset_s(self) -> float:
        """Seconds for which it stays open before a trial."""
        return seconds(self.reset)

    def judge(self, error: BaseException | None) -> Verdict:
        """Say what a call that ended with *error*, None for none, tells of the service."""
        if error is None:
            return Verdict.SUCCESS
        if isinstance(error, asyncio.CancelledError | ClaimLost | Postponed | CircuitOpen):
            return Verdict.NOTHING
        if self.counts is None:
            counts = not isinstance(error, _NOT_COUNTED)
        elif isinstance(self.counts, type | tuple):
            counts = isinstance(error, self.counts)
        else:
            try:
                counts = bool(self.counts(error))
            except BaseException:  # noqa: BLE001  a function of user code: the call did fail
                counts = True
        return Verdict.FAILURE if counts else Verdict.NOTHING

    async def __aenter__(self) -> None:
        permit = await permits_here(self.name).take(self)
        _entered.set((*_entered.get(), permit))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        permits_here(self.name).settle(_leave(), self, error)

    def __enter__(self) -> None:
        permits = permits_here(self.name)
        _entered.set((*_entered.get(), permits.blocking(permits.take(self))))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        permits_here(self.name).settle(_leave(), self, error)


def check_breaker_name(name: object) -> str:
    """Return *name* if a breaker can have it; raises InvalidOption."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    msg = (
        f"{shown(name)} cannot name a breaker: use 1 to 50 letters, digits, '_', '.' or '-', "
        "not starting with a sign"
    )
    raise InvalidOption(msg)


def _leave() -> Permit:
    *rest, permit = _entered.get()
    _entered.set(tuple(rest))
    return permit


def _check_counts(name: str, counts: object) -> None:
    kinds = counts if isinstance(counts, tuple) else (counts,)
    if counts is None or all(isinstance(k, type) and issubclass(k, BaseException) for k in kinds):
        return
    if isinstance(counts, type | tuple) or not callable(counts):
        msg = (
            f"counts of breaker {name!r} is {shown(counts)}; "
            "it is an exception type, a tuple of them, or a function of the exception"
        )
        raise InvalidOption(msg)


class Permits(Protocol):
    """Where the code of one run gets its permits."""

    async def take(self, breaker: Breaker, step: str = "") -> Permit:
        """
        Ask for a permit, for *step* of a workflow, which leaves when nobody wants it any more.

        Raises Postponed while there is none, or CircuitOpen where the breaker says so.
        """

    def settle(self, permit: Permit, breaker: Breaker, error: BaseException | None) -> None:
        """Give a permit back, with what its call has ended with."""

    def blocking(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work* on the worker's loop while the thread of a plain function waits."""


class FreePermits:
    """The permits of a step that was built by hand: there are always some."""

    async def take(self, breaker: Breaker, step: str = "") -> Permit:
        """Give one."""
        del breaker, step
        return Permit("", 0)

    def settle(self, permit: Permit, breaker: Breaker, error: BaseException | None) -> None:
        """Take it back."""

    def blocking(self, work: Coroutine[Any, Any, T]) -> T:
        """Do *work*, which waits for nothing."""
        try:
            work.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise AssertionError("a step that was built by hand waits for nothing")


def permits_here(name: str) -> Permits:
    """Return what gives permits to the code that runs; InvalidOption outside of a step."""
    running = code.get()
    side = getattr(running, "runtime", running)  # a Step has a side of the runtime behind it
    permits: Permits | None = getattr(side, "permits", None)
    if permits is None:
        msg = (
            f"breaker {name!r} was entered outside of a step; enter it in a runner or a step, "
            "or pass it on: ctx.step(..., breaker=...)"
        )
        raise InvalidOption(msg)
    return permits
