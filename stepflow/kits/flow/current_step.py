"""`stepflow.current_step()`: what the function of a `ctx.step` can know of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future as ThreadFuture
from typing import Any, Literal, Protocol, overload

from stepflow.core.cancel import CancelToken
from stepflow.core.memos.memo import Memo
from stepflow.core.output import TOPIC, emit
from stepflow.errors import NotInStep, StepOver
from stepflow.logs import code


class StepSide(Protocol):
    """The side of the attempt that carries out the step; any thread may ask."""

    def remember(self, key: str, value: Any) -> asyncio.Future[None]:
        """Put a memo value; on the worker's loop. Raises StepOver, or what packing raises."""


class StepMemo:
    """
    The memos of one step: what its attempts leave to those after them.

    *loop* is the worker's, on which *side* writes.
    """

    def __init__(
        self, kept: dict[str, Any], side: StepSide, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._kept = kept
        self._side = side
        self._loop = loop

    def memo_get(self, key: str, default: Any) -> Any:
        """Return a memo value, or an awaitable of it."""
        value = self._kept.get(key, default)
        if asyncio._get_running_loop() is not self._loop:  # noqa: SLF001  the way to ask without an error
            return value
        future = self._loop.create_future()
        future.set_result(value)
        return future

    def memo_put(self, key: str, value: Any) -> Any:
        """Write a memo value; None or an awaitable."""
        if asyncio._get_running_loop() is self._loop:  # noqa: SLF001  as above
            return self._side.remember(key, value)
        done: ThreadFuture[None] = ThreadFuture()
        self._loop.call_soon_threadsafe(self._put_for, done, key, value)
        return done.result()

    def _put_for(self, done: ThreadFuture[None], key: str, value: Any) -> None:
        """Put a memo value for a thread that waits for *done*."""
        try:
            written = self._side.remember(key, value)
        except Exception as error:  # noqa: BLE001  raised in the thread
            done.set_exception(error)
            return
        written.add_done_callback(lambda written: _hand_on(written, done))


def _hand_on(written: asyncio.Future[None], done: ThreadFuture[None]) -> None:
    error = asyncio.CancelledError() if written.cancelled() else written.exception()
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


class CurrentStep:
    """
    The step whose function is running.

    *attempt* counts from 1: the attempts that failed before are remembered, whatever worker made
    them and however long ago; one that was lost with its worker is made again under its number.
    *key* is the step's own, None for one without. *cancel* fires when nobody wants the value any
    more: the run was asked to stop, the workflow cancelled the step, its time is up.
    """

    __slots__ = (
        "attempt",
        "cancel",
        "idempotency_key",
        "is_last_attempt",
        "key",
        "memo",
        "name",
        "run_id",
    )

    def __init__(
        self,
        run_id: str,
        name: str,
        key: str | None,
        *,
        attempt: int,
        is_last_attempt: bool,
        idempotency_key: str,
        memo: StepMemo,
        cancel: CancelToken,
    ) -> None:
        self.run_id = run_id
        self.name = name
        self.key = key
        self.attempt = attempt
        #: whether an error that may be tried again fails the step now
        self.is_last_attempt = is_last_attempt
        #: the same for all attempts of the step, in forks of the run as well, and no other step's
        self.idempotency_key = idempotency_key
        #: small values that later attempts see, also after a crash. In an `async def` await its
        #: `get` and `put`; in a plain function they block
        self.memo = Memo(memo)
        self.cancel = cancel

    def __repr__(self) -> str:
        return f"CurrentStep({self.run_id!r}, {self.name!r}, attempt={self.attempt})"

    def emit(self, data: Any, topic: str = TOPIC) -> Awaitable[None]:
        """Publish *data* in the run's output, as `stepflow.emit` does."""
        return emit(data, topic)


class Known(Protocol):
    """The command of a step, which knows its attempts."""

    def current_step(self, host: Any, failures: int) -> CurrentStep:
        """Return what the function of the attempt after so many *failures* may know of itself."""


#: what to do where there is no step
_INSTEAD = (
    "a runner or job has all this in the Step that it is given; call the function by a ctx.step, "
    "in a test as well"
)

#: the command of a step, its host, and the failures before an attempt: a step pays for a
#: CurrentStep only when it asks
AttemptOf = tuple[Known, Any, int]


@overload
def current_step(*, required: Literal[True]) -> CurrentStep: ...
@overload
def current_step(*, required: bool = False) -> CurrentStep | None: ...
def current_step(*, required: bool = False) -> CurrentStep | None:
    """
    Return the `ctx.step` whose function is running, on the loop or in a thread.

    None elsewhere: in the workflow's own code, in runners and jobs, whose Step says all this, and
    outside. With *required* NotInStep is raised there.
    """
    found = present_attempt()
    if found is None and required:
        raise NotInStep("stepflow.current_step(required=True)", _INSTEAD)
    if found is None:
        return None
    step, host, failures = found
    return step.current_step(host, failures)


def present_attempt() -> AttemptOf | None:
    """Return the attempt that the present code is of; None where it is of none."""
    return getattr(code.get(), "attempt_of", None)


def refuse_memo(run_id: str, name: str) -> StepOver:
    """Make the error for a memo of a step that has ended."""
    return StepOver(f"run {run_id!r} step {name!r}: its memo")
